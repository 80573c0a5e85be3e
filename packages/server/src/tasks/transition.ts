import {
  type Reason,
  reasons,
  type TaskError,
  type TaskResult,
  type TaskWebhook,
  type WebhookAbout,
} from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { appendEvents, type NewEvent } from '../events/append.ts'
import { setSessionStatus } from '../store/sessions.ts'
import type { Db, TaskRow } from '../store/tables.ts'
import { lockTask, updateTask } from '../store/tasks.ts'
import { announce } from './announce.ts'
import { hasEnded, mayMove, type TaskState } from './machine.ts'
import type { Progress } from './progress.ts'

/** One step of a task, written with its event and its progress in one transaction. */
export interface Step {
  readonly taskId: string
  readonly to: TaskState
  /** Fences the step: an attempt that lost its lease changes nothing. Absent outside attempts. */
  readonly attempt?: number
  /** Replaces the sentence of the reason. */
  readonly message?: string
  readonly progress?: Progress
  /** Of an end. */
  readonly outcome?: { readonly result: TaskResult | null; readonly error: TaskError | null }
  /** What else webhooks of this step say. */
  readonly about?: WebhookAbout
  readonly clock: Clock
}

/** A step that the state machine does not allow: a bug, or a race that another writer won. */
class InvalidMove extends Error {
  constructor(taskId: string, from: TaskState, to: TaskState) {
    super(`${taskId} may not go from ${from.status}/${from.reason} to ${to.status}/${to.reason}`)
  }
}

/**
 * Takes the step, appends `events` after the step's own, and writes what is to be told of it. Throws `InvalidMove` when the task is
 * elsewhere by now, and `LeaseLost` when the attempt is no longer the session's.
 */
export async function moveTask(
  trx: Db,
  step: Step,
  events: readonly NewEvent[] = [],
): Promise<TaskRow> {
  const { taskId, to, clock } = step
  const row = await lockTask(trx, taskId)
  if (row === undefined) throw new Error(`no task ${taskId}`)
  const from = stateOf(row)
  if (!mayMove(from, to)) throw new InvalidMove(taskId, from, to)
  const now = new Date(clock.now())
  const message = step.message ?? reasons[to.reason].sentence
  const ended = hasEnded(to)
  const moved = await updateTask(trx, taskId, {
    status: to.status,
    reason: to.reason,
    message,
    ...(step.progress === undefined ? {} : { progress: step.progress }),
    ...(row.started_at === null && to.status === 'running' ? { startedAt: now } : {}),
    ...(ended ? { completedAt: now } : {}),
    ...step.outcome,
  })
  const sessionStatus = ended ? 'terminated' : to.status === 'running' ? 'running' : 'idle'
  await setSessionStatus(trx, { id: row.session_id, status: sessionStatus, now })
  const [first] = await appendEvents(trx, {
    sessionId: row.session_id,
    ...(step.attempt === undefined ? {} : { attempt: step.attempt }),
    events: [
      {
        type: hasEnded(from) ? 'task.reopened' : eventTypeOf(to),
        task_id: taskId,
        status: to.status,
        reason: to.reason,
        message,
      },
      ...events,
      ...(ended ? [{ type: 'session.status_terminated' }] : []),
    ],
    clock,
  })
  const event = webhookOf(row, to)
  if (event !== null)
    await announce(trx, { event, task: moved, seq: first?.seq ?? 0, about: step.about, clock })
  return moved
}

/** What a webhook calls the step; null: none is sent of it. */
function webhookOf(before: TaskRow, to: TaskState): TaskWebhook | null {
  if (to.status === 'completed' || to.status === 'failed') return `task.${to.status}`
  if (to.reason.startsWith('waiting_')) return 'task.waiting'
  return to.status === 'running' && before.started_at === null ? 'task.started' : null
}

/** The state that a row is in. The columns are written by `moveTask` and `createTask` alone. */
function stateOf(row: Pick<TaskRow, 'status' | 'reason'>): TaskState {
  return { status: row.status, reason: row.reason as Reason } as TaskState
}

function eventTypeOf(to: TaskState): string {
  switch (to.status) {
    case 'pending':
    case 'running':
      return 'task.updated'
    case 'completed':
      return 'task.completed'
    case 'failed':
      return 'task.failed'
  }
}
