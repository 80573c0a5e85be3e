import type { RunningReason } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { appendEvents, type NewEvent } from '../events/append.ts'
import type { EventWriter } from '../events/writer.ts'
import type { Metrics } from '../metrics.ts'
import type { Lease } from '../queue/work-queue.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import { waitingMessages } from '../store/messages.ts'
import type { Store } from '../store/open.ts'
import { currentAttempt } from '../store/sessions.ts'
import type { Db } from '../store/tables.ts'
import { lockTask, updateTask } from '../store/tasks.ts'
import type { Progress } from '../tasks/progress.ts'
import { moveTask } from '../tasks/transition.ts'

/**
 * The record of how far a task has come. Each entry is one transaction, fenced by the attempt: the
 * progress that the next attempt reads, the events that say so, and the task's step if it takes one.
 */
export class Journal {
  readonly #o: {
    readonly store: Store
    readonly writer: EventWriter
    readonly lease: Lease
    readonly taskId: string
    readonly clock: Clock
    readonly metrics: Metrics
  }
  #progress: Progress
  /** What the task is doing, once this attempt has said so. */
  #phase: { readonly reason: RunningReason; readonly since: number } | null = null

  constructor(o: {
    readonly store: Store
    readonly writer: EventWriter
    readonly lease: Lease
    readonly taskId: string
    readonly clock: Clock
    readonly metrics: Metrics
    readonly progress: Progress
  }) {
    this.#o = o
    this.#progress = o.progress
  }

  get progress(): Progress {
    return this.#progress
  }

  /** The task goes on to `reason`, unless it is there. Throws `LeaseLost` when this attempt no longer holds it. */
  async enter(reason: RunningReason): Promise<void> {
    const { store, writer, lease, taskId, clock } = this.#o
    // What the agent said before belongs before the step in the log.
    await writer.flush()
    if (this.#phase?.reason === reason) return
    const to = { status: 'running', reason } as const
    await store.db.transaction().execute(async (trx) => {
      await moveTask(trx, { taskId, to, attempt: lease.attempt, clock })
    })
    this.leave()
    this.#phase = { reason, since: clock.now() }
  }

  /** Counts the time of the phase that the task is in; nothing if it is in none. */
  leave(): void {
    const { metrics, clock } = this.#o
    const phase = this.#phase
    this.#phase = null
    if (phase === null) return
    metrics.phaseSeconds.observe({ phase: phase.reason }, (clock.now() - phase.since) / 1000)
  }

  /**
   * Writes that something is done. Naming the `next` phase, or the `ending`, means that a phase was
   * finished, and finished phases, as finished turns, forgive the attempts that died before it.
   */
  async write(patch: Partial<Progress>, events: readonly NewEvent[] = []): Promise<void> {
    await this.#write(patch, events, () => Promise.resolve(true))
  }

  /**
   * Writes what cannot be taken back, unless a message waits for the agent; false: one does, and
   * nothing is written. No message is accepted in between.
   */
  writeUnlessSpokenTo(patch: Partial<Progress>, events: readonly NewEvent[]): Promise<boolean> {
    const { sessionId } = this.#o.lease
    return this.#write(
      patch,
      events,
      async (trx) => (await waitingMessages(trx, sessionId)).length === 0,
    )
  }

  async #write(
    patch: Partial<Progress>,
    events: readonly NewEvent[],
    isAllowed: (trx: Db) => Promise<boolean>,
  ): Promise<boolean> {
    const { store, writer, lease, taskId, clock } = this.#o
    await writer.flush()
    const progress = {
      ...this.#progress,
      ...(patch.next === undefined && patch.ending === undefined ? {} : { strikes: 0 }),
      ...patch,
    }
    const isWritten = await store.db.transaction().execute(async (trx) => {
      // The task is locked before the session: see `WorkQueue`.
      await lockTask(trx, taskId)
      if (!(await isAllowed(trx))) return false
      const current = await currentAttempt(trx, lease.sessionId)
      if (current !== lease.attempt) throw new LeaseLost(lease.sessionId, lease.attempt)
      await appendEvents(trx, {
        sessionId: lease.sessionId,
        attempt: lease.attempt,
        events,
        clock,
      })
      await updateTask(trx, taskId, { progress })
      return true
    })
    if (isWritten) this.#progress = progress
    return isWritten
  }
}
