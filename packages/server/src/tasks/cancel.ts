import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { appendEvents } from '../events/append.ts'
import type { Metrics } from '../metrics.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import { withdrawApproval } from '../store/approvals.ts'
import type { Store } from '../store/open.ts'
import type { TaskRow, Trx } from '../store/tables.ts'
import { getTask, lockTask, updateTask } from '../store/tasks.ts'
import { answeredEvents } from './answer.ts'
import { countEnd, endTask } from './end.ts'
import { resumeTask } from './park.ts'

/**
 * Cancels a task. One that never started ends at once; a running one is asked to end: the event
 * wakes its worker, which stops the processes, keeps the work, and ends the task. Where nothing runs
 * at the moment, after a crash or during a back-off, its next attempt does that, ahead of all other
 * work. Cancelling an ended task, or cancelling twice, changes nothing. Answers the task as it is
 * now; `undefined`: there is none.
 */
export async function cancelTask(
  o: { store: Store; queue: WorkQueue; clock: Clock; metrics: Metrics },
  id: string,
  caller: Caller,
): Promise<TaskRow | undefined> {
  const { store, metrics } = o
  const by = caller.name
  const { task, justEnded } = await store.db
    .transaction()
    .execute((trx) => cancelWithin(trx, o, { id, by }))
  if (justEnded !== undefined) countEnd(metrics, justEnded)
  return task
}

interface Cancelled {
  /** As it is now; undefined: there is none. */
  readonly task: TaskRow | undefined
  /** If this ended it: to be counted once that is committed. */
  readonly justEnded?: TaskRow
}

/** `cancelTask` in the caller's transaction. */
export async function cancelWithin(
  trx: Trx,
  { queue, clock }: { readonly queue: WorkQueue; readonly clock: Clock },
  { id, by }: { readonly id: string; readonly by: string },
): Promise<Cancelled> {
  const found = await getTask(trx, id)
  if (found === undefined || isSettled(found)) return { task: found }
  // Locks the work, which comes before the task. What that waited for may have settled it.
  await queue.expedite(trx, found.session_id)
  const row = await lockTask(trx, id)
  if (row === undefined || isSettled(row)) return { task: row }
  await updateTask(trx, id, { cancelRequestedAt: new Date(clock.now()) })
  await appendEvents(trx, {
    sessionId: row.session_id,
    events: [{ type: 'task.cancel_requested', task_id: id, requested_by: by }],
    clock,
  })
  if (row.parked_at !== null) await wakeToEnd(trx, { queue, clock }, row)
  // A task that started has a workspace: its next attempt ends it, and keeps the work.
  if (row.started_at === null && (await queue.cancelQueued(trx, row.session_id))) {
    const end = { state: { status: 'failed', reason: 'cancelled' }, result: row.result } as const
    const justEnded = await endTask(trx, { taskId: id, end, clock })
    return { task: justEnded, justEnded }
  }
  return { task: await getTask(trx, id) }
}

/** Ended, or cancelled already. */
function isSettled({ status, cancel_requested_at: requested }: TaskRow): boolean {
  return status === 'completed' || status === 'failed' || requested !== null
}

/** A parked task has a workspace as well: its next attempt ends it, before all other work. */
async function wakeToEnd(
  trx: Trx,
  deps: { readonly queue: WorkQueue; readonly clock: Clock },
  task: TaskRow,
): Promise<void> {
  const now = new Date(deps.clock.now())
  const withdrawn = await withdrawApproval(trx, { sessionId: task.session_id, now })
  const events = withdrawn === undefined ? [] : answeredEvents(withdrawn)
  await resumeTask(trx, deps, { task, events, message: 'The task was cancelled.' })
  await deps.queue.expedite(trx, task.session_id)
}
