import {
  type FailedReason,
  reasons,
  type TaskError,
  type TaskResult,
} from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { Metrics } from '../metrics.ts'
import { dropReservations } from '../store/key-spending.ts'
import type { Db, TaskRow } from '../store/tables.ts'
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
 * Ends a task: its state, its last events, the callback that the order asked for and the webhooks are
 * one transaction, so nobody is told of an end that is not stored, and no stored end goes untold. To be
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
  const error = end.state.status === 'failed' ? errorOf(end.state.reason, end.message) : null
  const row = await moveTask(trx, {
    taskId,
    to: end.state,
    ...(end.message === undefined ? {} : { message: end.message }),
    ...(o.attempt === undefined ? {} : { attempt: o.attempt }),
    ...(o.progress === undefined ? {} : { progress: o.progress }),
    outcome: { result: end.result, error },
    clock,
  })
  await dropReservations(trx, row.session_id)
  return row
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
