import {
  type FailedReason,
  reasons,
  type TaskError,
  type TaskResult,
} from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { Metrics } from '../metrics.ts'
import { insertDelivery, type NewDelivery } from '../store/deliveries.ts'
import type { Db, TaskRow } from '../store/tables.ts'
import { updateTask } from '../store/tasks.ts'
import type { TaskState } from './machine.ts'
import type { Progress } from './progress.ts'
import { moveTask } from './transition.ts'

/** How a task ended: a state, a sentence of its own if there is one, and what came of it. */
export interface TaskEnd {
  readonly state: Extract<TaskState, { status: 'completed' | 'failed' }>
  readonly message?: string
  readonly result: TaskResult | null
}

/**
 * Ends a task: its state, its last events, and the callback that the order asked for are one
 * transaction, so nobody is told of an end that is not stored, and no stored end goes untold. To be
 * counted (`countEnd`) once that is committed.
 */
export async function endTask(
  trx: Db,
  o: {
    readonly taskId: string
    readonly end: TaskEnd
    readonly attempt?: number
    readonly progress?: Progress
    readonly clock: Clock
  },
): Promise<TaskRow> {
  const { taskId, end, clock } = o
  const row = await moveTask(trx, {
    taskId,
    to: end.state,
    ...(end.message === undefined ? {} : { message: end.message }),
    ...(o.attempt === undefined ? {} : { attempt: o.attempt }),
    ...(o.progress === undefined ? {} : { progress: o.progress }),
    clock,
  })
  const error = end.state.status === 'failed' ? errorOf(end.state.reason, end.message) : null
  const ended = await updateTask(trx, taskId, { result: end.result, error })
  if (row.order.callbackUrl !== undefined) {
    await insertDelivery(trx, callbackOf(ended, clock))
  }
  return ended
}

/** Counts a task that has ended. */
export function countEnd(metrics: Metrics, row: TaskRow): void {
  const { type, status, reason, started_at: started, completed_at: completed } = row
  metrics.tasksEnded.inc({ type, status, reason })
  if (started === null || completed === null) return
  metrics.taskSeconds.observe({ type, status }, (completed.getTime() - started.getTime()) / 1000)
}

function errorOf(reason: FailedReason, message: string | undefined): TaskError {
  return { reason, message: message ?? reasons[reason].sentence, next: reasons[reason].next }
}

/**
 * The one callback of an end. Its id is the task's, and the number of an end that is not the first,
 * so that a receiver that sees it twice can tell (Standard Webhooks: `webhook-id` identifies the
 * message, not the try).
 */
function callbackOf(row: TaskRow, clock: Clock): NewDelivery {
  const now = new Date(clock.now())
  const { order } = row
  const type = `task.${row.status}`
  return {
    id: `dlv_${row.id.slice('task_'.length)}${row.reopened === 0 ? '' : `_${row.reopened + 1}`}`,
    sessionId: row.session_id,
    taskId: row.id,
    attempt: null,
    type,
    url: order.callbackUrl ?? '',
    body: JSON.stringify({
      type,
      timestamp: now.toISOString(),
      data: {
        id: row.id,
        session_id: row.session_id,
        type: row.type,
        priority: row.priority,
        status: row.status,
        reason: row.reason,
        message: row.message,
        result: row.result,
        error: row.error,
      },
      context: order.context ?? null,
    }),
    nextTryAt: now,
    createdBy: row.created_by,
    now,
  }
}
