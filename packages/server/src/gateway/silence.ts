import type { Clock, Timer } from '../clock.ts'

/**
 * A request for a stream has this long until its answer begins: a large prompt takes a minute. The
 * client itself would wait for six.
 */
const beginMsMax = 3 * 60_000
/** Bytes of a stream may pause this long, pings included; the client itself gives up a little later. */
const pauseMsMax = 60_000

/** Ends an exchange whose other side says nothing for too long. Disposing lets it be. */
export class Silence implements Disposable {
  readonly #clock: Clock
  readonly #over = new AbortController()
  #timer: Timer | null = null
  #message: string | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Aborts when it was silent for too long. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** A sentence once it was silent for too long; null until then. */
  get message(): string | null {
    return this.#message
  }

  /** A stream was asked for. */
  asked(): void {
    const message = `The model did not begin to answer within ${beginMsMax / 1000} s.`
    this.#wait(beginMsMax, message)
  }

  /** Some of a stream came, or its beginning. */
  heard(): void {
    this.#wait(pauseMsMax, `The model’s answer stopped for ${pauseMsMax / 1000} s.`)
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel()
  }

  #wait(ms: number, message: string): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(ms, () => {
      this.#message = message
      this.#over.abort(new Error(message))
    })
  }
}
