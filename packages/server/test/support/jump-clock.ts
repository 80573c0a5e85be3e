import type { Clock, Timer } from '../../src/clock.ts'

/**
 * Real time that a test can move forward: what falls due on the way runs at once. The date alone can
 * be set as well.
 */
export class JumpClock implements Clock {
  #offsetMs = 0
  #stepMs = 0
  readonly #pending = new Map<() => void, number>()

  now(): number {
    return Date.now() + this.#offsetMs + this.#stepMs
  }

  elapsed(): number {
    return performance.now() + this.#offsetMs
  }

  after(ms: number, run: () => void): Timer {
    const fire = (): void => {
      cancel()
      run()
    }
    const handle = setTimeout(fire, ms).unref()
    const cancel = (): void => {
      clearTimeout(handle)
      this.#pending.delete(fire)
    }
    this.#pending.set(fire, this.elapsed() + ms)
    return { cancel, [Symbol.dispose]: cancel }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      const abort = (): void => {
        timer.cancel()
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  jump(ms: number): void {
    this.#offsetMs += ms
    const due = [...this.#pending].filter(([, at]) => at <= this.elapsed())
    for (const [fire] of due.sort(([, a], [, b]) => a - b)) fire()
  }

  /** Sets the date, as NTP does, or a machine that was suspended: no timer hears of it. */
  step(ms: number): void {
    this.#stepMs += ms
  }
}
