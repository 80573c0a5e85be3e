import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Where time comes from. Every wait of the server goes through a `Clock`, so a test can hold time
 * still and move it by hand.
 */
export interface Clock {
  /** Milliseconds since the epoch: what a date is. It may be set, forward or back, at any moment. */
  now(): number
  /**
   * Milliseconds since some moment, at the pace of `after`; nobody can set it, and it may stand still
   * while the machine is suspended. How long something takes is measured by it.
   */
  elapsed(): number
  /** Calls `run` once after `ms` milliseconds unless cancelled; never keeps the process alive. */
  after(ms: number, run: () => void): Timer
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A pending call of `Clock.after`. */
export interface Timer extends Disposable {
  cancel(): void
}

/** Node's timers keep at most 2^31 - 1 ms; a longer wait would fire at once. */
const timerMsMax = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, run) {
    const handle = setTimeout(run, Math.min(ms, timerMsMax)).unref()
    const cancel = (): void => clearTimeout(handle)
    return { cancel, [Symbol.dispose]: cancel }
  },
  async sleep(ms, signal) {
    try {
      await sleep(Math.min(ms, timerMsMax), undefined, signal ? { signal } : {})
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error
    }
  },
}

/** A smaller step is none: whatever is timed by dates is coarser. */
const stepMsMin = 5000

/** Notices that the date was set, or that the machine stood still, since the last look. */
export class ClockSteps {
  readonly #clock: Clock
  #offset: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offset = clock.now() - clock.elapsed()
  }

  /** Milliseconds that the date is further than time went (back: negative); 0 below 5 s. */
  look(): number {
    const offset = this.#clock.now() - this.#clock.elapsed()
    const stepMs = Math.round(offset - this.#offset)
    // A clock that is slewed, or runs a little fast, makes no step however long it is looked at.
    this.#offset = offset
    return Math.abs(stepMs) < stepMsMin ? 0 : stepMs
  }
}
