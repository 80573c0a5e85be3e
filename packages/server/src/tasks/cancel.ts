import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { appendEvents } from '../events/append.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import type { TaskRow } from '../store/tables.ts'
import { getTask, lockTask, updateTask } from '../store/tasks.ts'
import { endTask } from './end.ts'

/**
 * Cancels a task. One that never started ends at once; a running one is asked to end: the event wakes its
 * worker, which stops the processes, keeps the work, and ends the task. Cancelling an ended task,
 * or cancelling twice, changes nothing. Answers the task as it is now; `undefined`: there is none.
 */
export async function cancelTask(
  { store, queue, clock }: { store: Store; queue: WorkQueue; clock: Clock },
  id: string,
  caller: Caller,
): Promise<TaskRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const row = await lockTask(trx, id)
    if (row === undefined || row.status === 'completed' || row.status === 'failed') return row
    if (row.cancel_requested_at !== null) return row
    await updateTask(trx, id, { cancelRequestedAt: new Date(clock.now()) })
    await appendEvents(trx, {
      sessionId: row.session_id,
      events: [{ type: 'task.cancel_requested', task_id: id, requested_by: caller.name }],
      clock,
    })
    // Work that waits after a crash has a workspace: its next attempt ends the task, and keeps it.
    if (row.started_at === null && (await queue.cancelQueued(trx, row.session_id))) {
      const end = { state: { status: 'failed', reason: 'cancelled' }, result: null } as const
      await endTask(trx, { taskId: id, end, clock })
    }
    return getTask(trx, id)
  })
}
