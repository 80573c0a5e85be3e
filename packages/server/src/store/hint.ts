import type { Clock } from '../clock.ts'

/** A hint may get lost with a connection, so nobody relies on one longer than this. */
const defaultPollMs = 1000

/** "Something may have changed", for one waiter: given between two waits, it is not lost. */
export class Hint {
  readonly #clock: Clock
  readonly #pollMs: number
  #given = false
  #wake: (() => void) | undefined

  constructor(clock: Clock, pollMs = defaultPollMs) {
    this.#clock = clock
    this.#pollMs = pollMs
  }

  give(): void {
    this.#given = true
    this.#wake?.()
  }

  /**
   * Resolves at the next hint, at once if there was one since the last wait, and after `pollMs` in
   * any case. Rejects with the signal's reason.
   */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.#given) await this.#sleep(signal)
    signal.throwIfAborted()
    this.#given = false
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    const woken = Promise.withResolvers<void>()
    const wake = (): void => woken.resolve()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    using _poll = this.#clock.after(this.#pollMs, wake)
    try {
      await woken.promise
    } finally {
      signal.removeEventListener('abort', wake)
      this.#wake = undefined
    }
  }
}
