import { type Clock, ClockSteps } from '../clock.ts'
import type { Log } from '../log.ts'
import { redateDeliveries } from '../store/deliveries.ts'
import type { Store } from '../store/open.ts'
import { retryMsMax } from './retries.ts'

/**
 * The outbox has dates, which a crash and other nodes need, and waits that are meant to last: when the
 * date of this host is set, forward or back, what waits here is moved along with it, so that nothing is
 * tried all at once, dropped for its age, or held back for longer.
 */
export class OutboxDates {
  readonly #o: OutboxDatesOptions
  readonly #steps: ClockSteps
  #dueMs = 0
  #movedMs = 0
  #following: Promise<number> = Promise.resolve(0)

  constructor(o: OutboxDatesOptions) {
    this.#o = o
    this.#steps = new ClockSteps(o.clock)
  }

  /**
   * To be awaited before the outbox is read or written by the date. By how many milliseconds the dates
   * in it were moved since the start. Rejects when the store does not answer; the next one moves them.
   */
  follow(): Promise<number> {
    this.#following = this.#following.catch(() => 0).then(() => this.#move())
    return this.#following
  }

  async #move(): Promise<number> {
    this.#dueMs += this.#steps.look()
    if (this.#dueMs === 0) return this.#movedMs
    const { store, clock, log } = this.#o
    const stepMs = this.#dueMs
    const o = { node: store.node, stepMs, now: new Date(clock.now()), waitMsMax: retryMsMax }
    await store.db.transaction().execute((trx) => redateDeliveries(trx, o))
    this.#dueMs = 0
    this.#movedMs += stepMs
    log.info({ stepMs }, 'the date was set, and the outbox waits as long as before')
    return this.#movedMs
  }
}

interface OutboxDatesOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}
