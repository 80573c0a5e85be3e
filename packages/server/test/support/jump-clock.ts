import type { Clock, Timer } from '../../src/clock.ts'

/**
 * A jump of more than a minute leaves what was set for less than this to real time: the limit of an
 * answer that is under way, and the pause between two looks. Else the outcome would depend on whether
 * a beat of a lease was just being answered when the test jumped, which it is the more often the
 * slower the machine.
 */
const answerMsMax = 10_000
const longMs = 60_000

/**
 * Real time that a test can move forward: what falls due on the way runs at once. The date alone can
 * be set as well.
 */
export class JumpClock implements Clock {
  #offsetMs = 0
  #stepMs = 0
  readonly #pending = new Map<() => void, { readonly at: number; readonly ms: number }>()

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
    this.#pending.set(fire, { at: this.elapsed() + ms, ms })
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
    const shortest = ms > longMs ? answerMsMax : 0
    const due = [...this.#pending].filter(
      ([, timer]) => timer.at <= this.elapsed() && timer.ms >= shortest,
    )
    for (const [fire] of due.sort(([, a], [, b]) => a.at - b.at)) fire()
  }

  /** Sets the date, as NTP does, or a machine that was suspended: no timer hears of it. */
  step(ms: number): void {
    this.#stepMs += ms
  }
}
