import type { Clock } from '../clock.ts'
import type { Credential } from '../gateway/credential.ts'
import { withLimit } from '../gateway/limits.ts'
import type { Lease, WorkQueue } from '../queue/work-queue.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import type { Ending } from './ending.ts'

/**
 * An answer of the store that took longer is none: a process that was stopped meanwhile would take a
 * lease for its own that was its own before.
 */
const answerMsMax = 3000

/**
 * What lets an attempt act outside of its sandbox: its lease, as the store has it at that moment. It
 * remembers nothing, so that a worker which was paused or cut off finds out before it acts; and the
 * first look that finds the lease gone ends the attempt, without waiting for the next beat.
 */
export class Hold {
  readonly #o: {
    readonly queue: Pick<WorkQueue, 'holds'>
    readonly lease: Lease
    readonly ending: Ending
    readonly clock: Clock
  }

  constructor(o: {
    readonly queue: Pick<WorkQueue, 'holds'>
    readonly lease: Lease
    readonly ending: Ending
    readonly clock: Clock
  }) {
    this.#o = o
  }

  /** Rejects when the store does not say so within 3 s, and when the lease is known to be lost. */
  async isHeld(): Promise<boolean> {
    const { queue, lease, ending, clock } = this.#o
    const signal = ending.lost
    // By the date too: it goes on while the machine is suspended.
    const asked = { elapsed: clock.elapsed(), date: clock.now() }
    const limit = { clock, ms: answerMsMax, signal, what: 'asking for the lease' }
    const isHeld = await withLimit(limit, () => queue.holds(lease))
    if (!isHeld) ending.end({ kind: 'lost' })
    const tookMs = Math.max(clock.elapsed() - asked.elapsed, clock.now() - asked.date)
    if (isHeld && tookMs > answerMsMax) throw new Error('the answer came too late to count')
    return isHeld
  }

  /** Throws `LeaseLost`, or what `isHeld` rejects with. */
  async require(): Promise<void> {
    const { sessionId, attempt } = this.#o.lease
    if (!(await this.isHeld())) throw new LeaseLost(sessionId, attempt)
  }

  /** The same credential, given out while the lease is held: so nothing is done with it afterwards. */
  guard(credential: Credential): Credential {
    return async (signal, refused) => {
      const secret = await credential(signal, refused)
      await this.require()
      return secret
    }
  }
}
