import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Where time comes from. Every wait of the server goes through a `Clock`, so a test can hold time
 * still and move it by hand.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
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
