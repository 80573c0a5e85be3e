import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { freePiecesMax, type TinyPieces } from './tiny-pieces.ts'

/** Tiny pieces of requests' bodies within a second: clients send theirs in pieces of kilobytes. */
export const requestPiecesMax = 1000

interface Bounds {
  /** Its connection is destroyed: it did not wait for an answer, or came in too many pieces. */
  readonly onRefused: (socket: Socket, why: string) => void
  /** Those that a request counts towards; asked once a request. */
  readonly piecesOf: () => TinyPieces
}

/**
 * Bounds what the connections of an HTTP server may have it read at once. Each has one request under way:
 * Node would begin every request that one packet holds, thousands, before anything else has its turn. And
 * bodies come in no flood of tiny pieces.
 */
export class BoundedRequests {
  /** What `createServer` is told. */
  readonly options: ReturnType<typeof optionsOf>
  /** What is under way on each connection; null: nothing. */
  readonly #underWay = new Map<Socket, IncomingMessage | null>()

  constructor(o: Bounds) {
    this.options = optionsOf({ ...o, underWay: this.#underWay })
  }

  /** To be called with each new connection. */
  track(socket: Socket): void {
    this.#underWay.set(socket, null)
    socket.once('close', () => this.#underWay.delete(socket))
  }

  /** Destroys every connection over which a request, or a rest of one, may still come. */
  cut(): void {
    for (const [socket, request] of this.#underWay)
      if (request?.complete !== true && request?.method !== 'CONNECT') socket.destroy()
  }
}

function optionsOf(o: Bounds & { readonly underWay: Map<Socket, IncomingMessage | null> }) {
  const refuse = (socket: Socket, why: string): void => {
    o.onRefused(socket, why)
    socket.destroy()
  }

  class Request extends IncomingMessage {
    private isSecond = false
    private asksUpgrade: boolean | null = null
    private pieces = 0
    private counted: TinyPieces | null = null
    private isCut = false

    constructor(socket: Socket) {
      super(socket)
      this.isSecond = (o.underWay.get(socket) ?? null) !== null
      if (this.isSecond) refuse(socket, second)
      else o.underWay.set(socket, this)
    }

    /** Node asks this first of a request, and reads no further in its packet if it is so. */
    get upgrade(): boolean | null {
      return this.isSecond || this.asksUpgrade
    }

    set upgrade(asks: boolean | null) {
      this.asksUpgrade = asks
    }

    override push(piece: unknown, encoding?: BufferEncoding): boolean {
      // The rest of the packet comes here all the same.
      if (this.isCut) return true
      if (piece instanceof Uint8Array && !this.takes(piece)) {
        this.isCut = true
        refuse(this.socket, flood)
        return true
      }
      return super.push(piece, encoding)
    }

    private takes(piece: Uint8Array): boolean {
      this.pieces += 1
      if (this.pieces <= freePiecesMax) return true
      this.counted ??= o.piecesOf()
      return this.counted.take(piece)
    }
  }

  class Response extends ServerResponse<Request> {
    constructor(...of: ConstructorParameters<typeof ServerResponse<Request>>) {
      super(...of)
      const { socket } = this.req
      this.once('close', () => {
        if (o.underWay.has(socket)) o.underWay.set(socket, null)
      })
    }
  }

  return { IncomingMessage: Request, ServerResponse: Response }
}

const second = 'A connection takes one request at a time; the next one waits for the answer.'
const flood = 'A body comes in too many pieces of a few bytes; send it in larger ones.'
