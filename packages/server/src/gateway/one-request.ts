import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Options of an HTTP server whose connections have one request under way each: one that does not wait for
 * the answer to the one before is told to `onSecond`, and its connection is destroyed. Node itself reads
 * on, and begins every request that one packet holds: thousands, before anything else has its turn.
 */
export function oneRequestAtATime(onSecond: (socket: Socket) => void) {
  const busy = new WeakSet<Socket>()

  class Request extends IncomingMessage {
    private isSecond = false
    private asksUpgrade: boolean | null = null

    constructor(socket: Socket) {
      super(socket)
      this.isSecond = busy.has(socket)
      busy.add(socket)
      if (!this.isSecond) return
      if (!socket.destroyed) onSecond(socket)
      socket.destroy()
    }

    /** Node asks this first of a request, and reads no further in its packet if it is so. */
    get upgrade(): boolean | null {
      return this.isSecond || this.asksUpgrade
    }

    set upgrade(asks: boolean | null) {
      this.asksUpgrade = asks
    }
  }

  class Response extends ServerResponse<Request> {
    constructor(...of: ConstructorParameters<typeof ServerResponse<Request>>) {
      super(...of)
      const { socket } = this.req
      this.once('close', () => busy.delete(socket))
    }
  }

  return { IncomingMessage: Request, ServerResponse: Response }
}
