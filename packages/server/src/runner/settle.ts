import { reasons } from '@longhaul/client/contract'
import { appendEvents } from '../events/append.ts'
import type { Lease } from '../queue/work-queue.ts'
import { removeCheckpoints } from '../store/checkpoints.ts'
import { waitingMessages } from '../store/messages.ts'
import { getSession, setSessionStatus } from '../store/sessions.ts'
import type { TaskRow } from '../store/tables.ts'
import { lockTask, updateTask } from '../store/tasks.ts'
import { countEnd, endTask, type TaskEnd } from '../tasks/end.ts'
import { Cancelled, type Parking, parkTask } from '../tasks/park.ts'
import type { Progress } from '../tasks/progress.ts'
import { resultOf } from '../tasks/result.ts'
import type { RunnerDeps } from './deps.ts'

/**
 * The task is over: its end, its work's end and its callback are one transaction. False, and nothing
 * is written, when it is complete but for a message that waits. What a task that failed did not read
 * waits for a follow-up, and its sentence says so.
 */
export async function endTaskOf(
  { store, queue, clock, metrics }: RunnerDeps,
  o: {
    readonly task: TaskRow
    readonly lease: Lease
    readonly progress: Progress
    readonly end: Pick<TaskEnd, 'state' | 'message'>
  },
): Promise<boolean> {
  const { task, lease, progress, end } = o
  const ends = store.db.transaction().execute(async (trx) => {
    // The work is locked before the task, and the task before the session: see `WorkQueue`.
    await queue.complete(trx, lease)
    // No message is accepted from here on.
    await lockTask(trx, task.id)
    const unread = (await waitingMessages(trx, lease.sessionId)).length
    if (unread > 0 && end.state.status === 'completed') throw new SpokenTo()
    const session = await getSession(trx, lease.sessionId)
    await removeCheckpoints(trx, lease.sessionId)
    return endTask(trx, {
      taskId: task.id,
      end: { ...withUnread(end, unread), result: resultOf(progress, session) },
      attempt: lease.attempt,
      progress,
      clock,
    })
  })
  try {
    countEnd(metrics, await ends)
  } catch (error) {
    if (error instanceof SpokenTo) return false
    throw error
  }
  return true
}

/**
 * The task waits, and holds nothing meanwhile. One that was cancelled at that moment goes on at once,
 * to its end.
 */
export async function park(
  deps: RunnerDeps,
  o: {
    readonly task: TaskRow
    readonly lease: Lease
    readonly progress: Progress
    readonly parking: Parking
  },
): Promise<void> {
  const taskId = o.task.id
  try {
    await deps.store.db.transaction().execute((trx) => parkTask(trx, deps, { ...o, taskId }))
  } catch (error) {
    if (!(error instanceof Cancelled)) throw error
    await handBack(deps, { ...o, delayMs: 0, why: 'The task was cancelled.' })
  }
}

/** Rolls an end back. */
class SpokenTo extends Error {}

function withUnread(
  end: Pick<TaskEnd, 'state' | 'message'>,
  unread: number,
): Pick<TaskEnd, 'state' | 'message'> {
  if (unread === 0) return end
  const said = end.message ?? reasons[end.state.reason].sentence
  const what = unread === 1 ? '1 message was' : `${unread} messages were`
  return { ...end, message: `${said} ${what} not read; a follow-up begins with that.` }
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
