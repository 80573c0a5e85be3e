import type { Clock } from '../clock.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import { listDueTasks, lockTask } from '../store/tasks.ts'
import { moveTask } from './transition.ts'

/** Tasks queued at once; the rest follows a second later. */
const dueMax = 100

/**
 * Queues the delayed tasks whose start time has come. Any number of nodes may do so at once, and a
 * task that was cancelled or claimed meanwhile stays what it is.
 */
export async function queueDue({
  store,
  queue,
  clock,
}: {
  readonly store: Store
  readonly queue: WorkQueue
  readonly clock: Clock
}): Promise<void> {
  for (const { id, session_id } of await listDueTasks(store.db, clock.now(), dueMax)) {
    await store.db.transaction().execute(async (trx) => {
      // Locks the work, which comes before the task.
      if (!(await queue.hasten(trx, session_id))) return
      if ((await lockTask(trx, id))?.reason !== 'delayed') return
      await moveTask(trx, { taskId: id, to: { status: 'pending', reason: 'queued' }, clock })
    })
  }
}
