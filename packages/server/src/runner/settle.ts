import { appendEvents } from '../events/append.ts'
import type { Lease } from '../queue/work-queue.ts'
import { getSession, setSessionStatus } from '../store/sessions.ts'
import type { TaskRow } from '../store/tables.ts'
import { lockTask, updateTask } from '../store/tasks.ts'
import { countEnd, endTask, type TaskEnd } from '../tasks/end.ts'
import type { Progress } from '../tasks/progress.ts'
import { resultOf } from '../tasks/result.ts'
import type { RunnerDeps } from './deps.ts'

/** The task is over: its end, its work's end and its callback are one transaction. */
export async function endTaskOf(
  { store, queue, clock, metrics, ended }: RunnerDeps,
  o: {
    readonly task: TaskRow
    readonly lease: Lease
    readonly progress: Progress
    readonly end: Pick<TaskEnd, 'state' | 'message'>
  },
): Promise<void> {
  const { task, lease, progress, end } = o
  const row = await store.db.transaction().execute(async (trx) => {
    // The work is locked before the task, and the task before the session: see `WorkQueue`.
    await queue.complete(trx, lease)
    const session = await getSession(trx, lease.sessionId)
    return endTask(trx, {
      taskId: task.id,
      end: { ...end, result: resultOf(progress, session) },
      attempt: lease.attempt,
      progress,
      clock,
    })
  })
  countEnd(metrics, row)
  ended()
}

/**
 * The work goes back to the queue: at once when the server stops, after a wait when something
 * failed that another attempt may find mended. The task stays running; its session is rescheduled.
 */
export async function handBack(
  { store, queue, clock }: RunnerDeps,
  o: {
    readonly task: TaskRow
    readonly lease: Lease
    readonly progress: Progress
    readonly delayMs: number
    readonly why: string
  },
): Promise<void> {
  const { task, lease, progress, delayMs, why } = o
  await store.db.transaction().execute(async (trx) => {
    await lockTask(trx, task.id)
    await appendEvents(trx, {
      sessionId: lease.sessionId,
      attempt: lease.attempt,
      events: [{ type: 'session.status_rescheduled', message: why, delay_ms: delayMs }],
      clock,
    })
    await updateTask(trx, task.id, { progress })
    await setSessionStatus(trx, {
      id: lease.sessionId,
      status: 'rescheduling',
      now: new Date(clock.now()),
    })
  })
  await queue.release(lease, { delayMs })
}
