import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import type { TaskRow } from '../store/tables.ts'
import { listDueTasks, lockTask } from '../store/tasks.ts'
import { eachDue } from './each-due.ts'
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
  log,
}: {
  readonly store: Store
  readonly queue: WorkQueue
  readonly clock: Clock
  readonly log: Log
}): Promise<void> {
  const become = ({ id, session_id }: Pick<TaskRow, 'id' | 'session_id'>): Promise<void> =>
    store.db.transaction().execute(async (trx) => {
      // Locks the work, which comes before the task.
      if (!(await queue.hasten(trx, session_id))) return
      if ((await lockTask(trx, id))?.reason !== 'delayed') return
      await moveTask(trx, { taskId: id, to: { status: 'pending', reason: 'queued' }, clock })
    })
  const due = await listDueTasks(store.db, clock.now(), dueMax)
  await eachDue(due, become, { clock, log, what: 'a delayed task' })
}
