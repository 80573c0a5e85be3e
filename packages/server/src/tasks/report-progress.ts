import type { Clock } from '../clock.ts'
import { appendEvents } from '../events/append.ts'
import type { Trx } from '../store/tables.ts'
import { lockTask } from '../store/tasks.ts'
import { announce } from './announce.ts'

/**
 * Puts an agent's own words about its progress into the log, and tells who wants to know. Throws
 * `LeaseLost` when the attempt no longer holds the task.
 */
export async function reportProgress(
  trx: Trx,
  o: {
    readonly taskId: string
    readonly attempt: number
    readonly progress: { readonly message: string; readonly percent?: number | undefined }
    readonly clock: Clock
  },
): Promise<void> {
  const { taskId, attempt, progress, clock } = o
  // The task is locked before the session: see `WorkQueue`.
  const task = await lockTask(trx, taskId)
  if (task === undefined) throw new Error(`no task ${taskId}`)
  const events = [{ type: 'task.progress', ...progress }]
  const [event] = await appendEvents(trx, { sessionId: task.session_id, attempt, events, clock })
  const about = { progress: { message: progress.message, percent: progress.percent ?? null } }
  await announce(trx, { event: 'task.progress', task, seq: event?.seq ?? 0, about, clock })
}
