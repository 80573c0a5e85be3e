import type { Clock, Timer } from '../../src/clock.ts'

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now: number
  #stepMs = 0
  readonly #waiting = new Set<{ at: number; run: () => void }>()

  constructor(now = Date.now()) {
    this.#now = now
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#waiting.size
  }

  now(): number {
    return this.#now + this.#stepMs
  }

  elapsed(): number {
    return this.#now
  }

  /** Sets the date, as NTP does, or a machine that was suspended: no timer hears of it. */
  step(ms: number): void {
    this.#stepMs += ms
  }

  after(ms: number, run: () => void): Timer {
    const entry = { at: this.#now + ms, run }
    this.#waiting.add(entry)
    const cancel = (): void => void this.#waiting.delete(entry)
    return { cancel, [Symbol.dispose]: cancel }
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const over = Promise.withResolvers<void>()
    const abort = (): void => over.reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    using _timer = this.after(ms, over.resolve)
    try {
      await over.promise
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Moves time on, and calls what became due, the earliest first. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (let due = this.#next(until); due; due = this.#next(until)) {
      this.#waiting.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.run()
    }
    this.#now = until
  }

  #next(until: number) {
    return [...this.#waiting].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
  }
}
