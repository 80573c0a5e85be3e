import { appendEvents } from '../events/append.ts'
import type { Lease } from '../queue/work-queue.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import { currentAttempt } from '../store/sessions.ts'
import { lockTask, updateTask } from '../store/tasks.ts'
import type { RunnerDeps } from './deps.ts'
import { taskAlert } from './task-alert.ts'

/**
 * The date jumped while an attempt ran: the task's time limit jumps with it, so that the next attempt,
 * which goes by the date, has as much time left as this one.
 */
export async function keepTime(
  { store, clock, metrics }: Pick<RunnerDeps, 'store' | 'clock' | 'metrics'>,
  o: { readonly lease: Lease; readonly taskId: string; readonly stepMs: number },
): Promise<void> {
  const { lease, taskId, stepMs } = o
  const { sessionId, attempt } = lease
  const seconds = Math.abs(Math.round(stepMs / 1000))
  const message = `The server’s clock jumped ${seconds} s ${stepMs > 0 ? 'forward' : 'back'}. The task’s time limit goes on as if it had not.`
  await store.db.transaction().execute(async (trx) => {
    // The task is locked before the session: see `WorkQueue`.
    const task = await lockTask(trx, taskId)
    if (task === undefined || (await currentAttempt(trx, sessionId)) !== attempt)
      throw new LeaseLost(sessionId, attempt)
    await updateTask(trx, taskId, { parkedMs: Number(task.parked_ms) + stepMs })
    const events = [taskAlert('clock_jumped', message)]
    await appendEvents(trx, { sessionId, attempt, events, clock })
  })
  metrics.taskAlerts.inc({ name: 'clock_jumped' })
}
