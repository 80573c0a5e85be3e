import { isDeepStrictEqual } from 'node:util'
import { type ApprovalAnswer, answerProblem } from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import { decideApproval, getApproval } from '../store/approvals.ts'
import { scrubberOf } from '../store/scrubbing-dialect.ts'
import type { ApprovalRow, TaskRow, Trx } from '../store/tables.ts'
import { lockTask } from '../store/tasks.ts'
import { resumeTask } from './park.ts'
import { type Progress, progressOf } from './progress.ts'

/** What became of an answer. */
export type Answered =
  /** It is the one that counts; given again, the same answer is the same. */
  | { readonly kind: 'accepted'; readonly approval: ApprovalRow }
  /** Another one was first, or nobody asks any more. */
  | { readonly kind: 'too_late'; readonly approval: ApprovalRow }
  | { readonly kind: 'unfit'; readonly field: string; readonly message: string }

interface Deps {
  readonly queue: WorkQueue
  readonly clock: Clock
}

/**
 * Answers an approval: the answer, the task's step and its work are one transaction of the caller's.
 * The first answer wins, whoever else answers at the same moment. Undefined: there is no such
 * approval of this task.
 */
export async function answerApproval(
  trx: Trx,
  deps: Deps,
  o: {
    readonly taskId: string
    readonly id: string
    readonly answer: ApprovalAnswer
    readonly caller: Caller
  },
): Promise<Answered | undefined> {
  const { taskId, id, answer, caller } = o
  const task = await lockTask(trx, taskId)
  const approval = await getApproval(trx, id)
  if (task === undefined || approval?.task_id !== taskId) return undefined
  const unfit = answerProblem(approval, answer)
  if (unfit !== null) return { kind: 'unfit', ...unfit }
  if (approval.status !== 'pending') {
    // As it was stored: without the secrets in it.
    const given = scrubberOf(trx)?.value(answer) ?? answer
    const isSame = approval.status === 'answered' && isDeepStrictEqual(approval.answer, given)
    return { kind: isSame ? 'accepted' : 'too_late', approval }
  }
  const decided = await decide(trx, { approval, answer, by: caller.keyId, clock: deps.clock })
  await resumeTask(trx, deps, {
    task,
    events: answeredEvents(decided),
    message: 'It was answered; the task goes on as soon as a slot is free.',
    progress: progressAfter(task, { kind: approval.kind, answer }),
  })
  return { kind: 'accepted', approval: decided }
}

async function decide(
  trx: Trx,
  o: {
    readonly approval: ApprovalRow
    readonly answer: ApprovalAnswer
    readonly by: string | null
    readonly clock: Clock
  },
): Promise<ApprovalRow> {
  const decided = await decideApproval(trx, {
    id: o.approval.id,
    status: 'answered',
    answer: o.answer,
    answeredBy: o.by,
    now: new Date(o.clock.now()),
  })
  if (decided === undefined) throw new Error(`${o.approval.id} was decided under its task's lock`)
  return decided
}

/**
 * What a decision changes of the task itself; no answer: it fails of the deadline. One that is to end
 * only has to keep its work and to say so, which its next attempt does.
 */
export function progressAfter(
  task: TaskRow,
  { kind, answer }: { readonly kind: ApprovalRow['kind']; readonly answer: ApprovalAnswer | null },
): Progress {
  const progress = progressOf(task.progress)
  if (answer?.decision === 'raise') return { ...progress, budgetUsd: answer.limit_usd }
  if (kind === 'budget') return { ...progress, ending: { reason: 'budget_declined' } }
  return answer === null ? { ...progress, ending: { reason: 'approval_expired' } } : progress
}

/** What the log says of a decision, in our words and in those of the Managed Agents API. */
export function answeredEvents(decided: ApprovalRow): NewEvent[] {
  const { id, kind, status, answer, answered_by: by, tool_use_id: call } = decided
  const answered: NewEvent = {
    type: 'task.approval_answered',
    ...{ approval_id: id, kind, status, answer, answered_by: by },
  }
  if (call === null) return [answered]
  const isAllowed = answer !== null && answer.decision !== 'deny'
  const message = answer?.decision === 'deny' ? (answer.message ?? null) : null
  return [
    answered,
    {
      type: 'user.tool_confirmation',
      tool_use_id: call,
      result: isAllowed ? 'allow' : 'deny',
      deny_message: message,
    },
  ]
}
