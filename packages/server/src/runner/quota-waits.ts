import { ClockSteps } from '../clock.ts'
import { redateQuotaWaits } from '../store/tasks.ts'
import type { RunnerDeps } from './deps.ts'

/**
 * A wait for a quota has a date, so that it outlives its process; when the date of this host is set, the
 * waits of tasks that were parked here are moved along: they last as long as the provider said. A moment
 * that it named and all other dates stay what they are: see docs/alerts.md.
 */
export class QuotaWaits {
  readonly #deps: Pick<RunnerDeps, 'store' | 'clock' | 'node'>
  readonly #steps: ClockSteps
  #dueMs = 0

  constructor(deps: Pick<RunnerDeps, 'store' | 'clock' | 'node'>) {
    this.#deps = deps
    this.#steps = new ClockSteps(deps.clock)
  }

  /** To be called before anything is woken by the date. Rejects when the store does not answer. */
  async follow(): Promise<void> {
    this.#dueMs += this.#steps.look()
    if (this.#dueMs === 0) return
    const { store, node } = this.#deps
    await redateQuotaWaits(store.db, { node, stepMs: this.#dueMs })
    this.#dueMs = 0
  }
}
