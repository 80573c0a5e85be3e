import type {
  CompletedReason,
  FailedReason,
  PendingReason,
  RunningReason,
} from '@longhaul/client/contract'

/**
 * The life of a task, as a pure table.
 *
 * A task is born `pending` (`queued`, or `delayed` until its start time). A worker that leases its
 * work makes it `running`, and until it ends it never goes back to pending: when a worker dies or
 * hands the work back, the task stays running and the next attempt prepares again. Running has a
 * reason that says what happens now:
 *
 *   preparing  → agent → checking → publishing → end
 *
 * with these ways back: failed checks, and messages that came meanwhile, go to the agent again; a
 * new attempt starts at `preparing` from wherever the last one was cut off, and goes straight to the
 * phase that was not finished;
 * a task without checks skips `checking`. A `waiting_…` reason is a parked task: it can be entered
 * from every phase and left to `preparing`, since the session that waits has no process.
 *
 * A task ends as `completed` (out of `publishing` only: nothing is complete before its work is
 * published or found to need no publishing) or as `failed` (out of anything, always with a reason).
 * An ended task moves only when a message reopens it: it is `queued` again, and may end again.
 */
export type TaskState =
  | { readonly status: 'pending'; readonly reason: PendingReason }
  | { readonly status: 'running'; readonly reason: RunningReason }
  | { readonly status: 'completed'; readonly reason: CompletedReason }
  | { readonly status: 'failed'; readonly reason: FailedReason }

/** Whether the step from one state to another is one that a task may take. */
export function mayMove(from: TaskState, to: TaskState): boolean {
  switch (from.status) {
    case 'completed':
    case 'failed':
      return to.status === 'pending' && to.reason === 'queued'
    case 'pending':
      return (
        to.status === 'failed' ||
        (to.status === 'running' && to.reason === 'preparing') ||
        (to.status === 'pending' && from.reason === 'delayed' && to.reason === 'queued')
      )
    case 'running':
      switch (to.status) {
        case 'pending':
          return false
        case 'running':
          return phasesAfter[from.reason].includes(to.reason)
        case 'completed':
          return from.reason === 'publishing'
        case 'failed':
          return true
      }
  }
}

/** Whether it is over, and nothing of it runs or waits. */
export function hasEnded({ status }: Pick<TaskState, 'status'>): boolean {
  return status === 'completed' || status === 'failed'
}

const waiting = ['waiting_approval', 'waiting_answer', 'waiting_budget', 'waiting_quota'] as const

const phasesAfter: Readonly<Record<RunningReason, readonly RunningReason[]>> = {
  preparing: ['preparing', 'agent', 'checking', 'publishing', ...waiting],
  agent: ['preparing', 'checking', 'publishing', ...waiting],
  checking: ['preparing', 'agent', 'publishing', ...waiting],
  publishing: ['preparing', ...waiting],
  waiting_approval: ['preparing'],
  waiting_answer: ['preparing'],
  waiting_budget: ['preparing'],
  waiting_quota: ['preparing'],
}
