import { z } from 'zod'

export const taskStatus = z.enum(['pending', 'running', 'completed', 'failed'])
export type TaskStatus = z.infer<typeof taskStatus>

export const pendingReason = z.enum(['queued', 'delayed'])
export type PendingReason = z.infer<typeof pendingReason>

/** A parked task is still running: the `waiting_…` reasons hold no process and no slot. */
export const runningReason = z.enum([
  'preparing',
  'agent',
  'checking',
  'publishing',
  'waiting_approval',
  'waiting_answer',
  'waiting_budget',
  'waiting_quota',
])
export type RunningReason = z.infer<typeof runningReason>

export const completedReason = z.enum(['done', 'no_changes', 'report'])
export type CompletedReason = z.infer<typeof completedReason>

export const failedReason = z.enum([
  'cancelled',
  'timed_out',
  'stalled',
  'checks_failed',
  'refused',
  'agent_error',
  'turns_exhausted',
  'budget_declined',
  'quota_exhausted',
  'approval_expired',
  'model_not_configured',
  'model_rejected',
  'repository_unreachable',
  'setup_failed',
  'push_rejected',
  'pull_request_rejected',
  'out_of_memory',
  'disk_full',
  'too_many_processes',
  'attempts_exhausted',
])
export type FailedReason = z.infer<typeof failedReason>

/** Why a task has its status. The list is closed: adding one means adding both of its sentences. */
export const reason = z.enum([
  ...pendingReason.options,
  ...runningReason.options,
  ...completedReason.options,
  ...failedReason.options,
])
export type Reason = z.infer<typeof reason>

/** One reason for people: what happened, and what can be done next. */
export interface ReasonText {
  readonly sentence: string
  readonly next: string
}

/** The sentence and the next action of every reason. */
export const reasons: Readonly<Record<Reason, ReasonText>> = {
  queued: {
    sentence: 'The task waits for a free slot.',
    next: 'Nothing to do; raise TASK_CONCURRENCY if tasks wait too long.',
  },
  delayed: {
    sentence: 'The task waits for its start time.',
    next: 'Nothing to do; the server begins by itself. To begin at once, cancel it and retry it.',
  },
  preparing: {
    sentence: 'The server prepares the workspace: sandbox, clone and setup.',
    next: 'Nothing to do; follow the events of the session.',
  },
  agent: {
    sentence: 'The agent works in the workspace.',
    next: 'Nothing to do; follow the events of the session.',
  },
  checking: {
    sentence: 'The server runs the checks.',
    next: 'Nothing to do; follow the events of the session.',
  },
  publishing: {
    sentence: 'The server pushes the branch and opens the pull request.',
    next: 'Nothing to do; the result follows in seconds.',
  },
  waiting_approval: {
    sentence: 'The task is parked until someone approves or denies a step.',
    next: 'Answer the approval, or let its deadline choose the default.',
  },
  waiting_answer: {
    sentence: 'The task is parked until someone answers a question of the agent.',
    next: 'Answer the question, or let its deadline choose the default.',
  },
  waiting_budget: {
    sentence: 'The task is parked because its budget is spent.',
    next: 'Raise the budget, or decline and keep the work done so far.',
  },
  waiting_quota: {
    sentence: 'The task is parked until the model provider’s quota resets.',
    next: 'Nothing to do; it goes on by itself when the quota is back.',
  },
  done: {
    sentence: 'The work is done and published.',
    next: 'Review the branch or the pull request.',
  },
  no_changes: {
    sentence: 'The agent finished without changing anything.',
    next: 'Read the summary; order again with more precise instructions if a change was expected.',
  },
  report: {
    sentence: 'The report is written.',
    next: 'Read the summary, or download the report from the artifacts.',
  },
  cancelled: {
    sentence: 'The task was cancelled.',
    next: 'Work done so far is kept; order a new task to go on.',
  },
  timed_out: {
    sentence: 'The task reached its time limit.',
    next: 'Order it again with a higher time limit, or split it.',
  },
  stalled: {
    sentence: 'The agent gave no sign of life for too long and was stopped.',
    next: 'Order the task again; look at the last events if it happens twice.',
  },
  checks_failed: {
    sentence: 'The checks still fail after the last round of fixes.',
    next: 'Look at the check results and at the kept work, then order a follow-up.',
  },
  refused: {
    sentence: 'The model refused the task.',
    next: 'Reword the instructions.',
  },
  agent_error: {
    sentence: 'The agent ended with an error.',
    next: 'Read the last events; order the task again if the cause was passing.',
  },
  turns_exhausted: {
    sentence: 'The agent used all its turns before it was done.',
    next: 'Split the task, or order a follow-up on the kept work.',
  },
  budget_declined: {
    sentence: 'The budget is spent and was not raised.',
    next: 'Order the task again with a higher budget; the work done so far is kept.',
  },
  quota_exhausted: {
    sentence: 'The model provider’s quota is gone for longer than a task waits for it.',
    next: 'Raise the limit at the provider, or QUOTA_WAIT_MAX_HOURS, and order the task again; the work done so far is kept.',
  },
  approval_expired: {
    sentence: 'Nobody answered before the deadline.',
    next: 'Order the task again when someone can answer.',
  },
  model_not_configured: {
    sentence: 'The server has no key for a model.',
    next: 'Set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN and restart the server.',
  },
  model_rejected: {
    sentence: 'The model provider rejected the server’s key.',
    next: 'Check the key, its permissions and the account’s credit.',
  },
  repository_unreachable: {
    sentence: 'The repository or the base branch could not be fetched.',
    next: 'Check the URL, the branch and the access of the server’s credential for it.',
  },
  setup_failed: {
    sentence: 'A setup command of the order failed.',
    next: 'Read its output in the events and correct the command.',
  },
  push_rejected: {
    sentence: 'The repository refused the branch.',
    next: 'Give the server’s token write access, or allow in the repository’s settings what was refused; the work is kept as a patch.',
  },
  pull_request_rejected: {
    sentence: 'The branch is pushed, but the pull request was refused.',
    next: 'Give the server’s token access to pull requests, or open it by hand from the branch.',
  },
  out_of_memory: {
    sentence: 'The sandbox ran out of memory.',
    next: 'Give the sandbox more memory, or make the task smaller.',
  },
  disk_full: {
    sentence: 'The workspace ran out of disk space.',
    next: 'Free space in the data directory or raise the limit.',
  },
  too_many_processes: {
    sentence: 'The sandbox reached its limit of processes.',
    next: 'Raise the limit, or run fewer things in parallel.',
  },
  attempts_exhausted: {
    sentence: 'Every attempt was cut off by a failure of the infrastructure.',
    next: 'Look at the server’s log, then order the task again.',
  },
}
