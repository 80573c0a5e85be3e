import type { WebSocket } from 'ws'
import type { Clock, Timer } from '../clock.ts'

/** Bytes that may wait for one reader; beyond them nothing is read for it but what is in hand. */
const waitingBytesMax = 512 * 1024
/** Milliseconds that a reader may take nothing while that much waits. */
const stalledMsMax = 30_000

/** What is written to one WebSocket: as fast as it is taken, with little kept for a slow reader. */
export class Outbox implements Disposable {
  readonly #ws: WebSocket
  readonly #clock: Clock
  readonly #onStalled: () => void
  #timer: Timer | undefined
  #room: PromiseWithResolvers<void> | undefined

  /** `onStalled` is called when a full outbox has not moved for 30 s. */
  constructor(ws: WebSocket, o: { readonly clock: Clock; readonly onStalled: () => void }) {
    this.#ws = ws
    this.#clock = o.clock
    this.#onStalled = o.onStalled
  }

  get isFull(): boolean {
    return this.#isOpen && this.#ws.bufferedAmount > waitingBytesMax
  }

  /** Writes one message; resolves when there is room for another. Drops it once the socket closes. */
  async send(message: object): Promise<void> {
    if (!this.#isOpen) return
    // Called as well when the connection is gone, which its `close` tells.
    this.#ws.send(JSON.stringify(message), () => this.#wake())
    while (this.isFull) {
      this.#timer ??= this.#clock.after(stalledMsMax, this.#onStalled)
      this.#room ??= Promise.withResolvers()
      await this.#room.promise
    }
  }

  [Symbol.dispose](): void {
    this.#wake()
  }

  get #isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN
  }

  /** Something was taken, or nothing will be any more: whoever waits looks again. */
  #wake(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const room = this.#room
    this.#room = undefined
    room?.resolve()
  }
}
