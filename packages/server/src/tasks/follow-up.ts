import type { Clock } from '../clock.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import { tellOfSecret } from '../store/deliveries.ts'
import { currentAttempt, getSession } from '../store/sessions.ts'
import type { Db, MessageRow, TaskRow, Trx } from '../store/tables.ts'
import { updateTask } from '../store/tasks.ts'
import { hasConversation } from '../store/transcripts.ts'
import { deployBegun, type MessageRefused, refuse } from './message-refused.ts'
import { titleOf } from './naming.ts'
import { limitUsdOf, type Progress, progressOf } from './progress.ts'
import { moveTask } from './transition.ts'

/** Why a task that ended cannot go on with a message; null when it can. */
export async function noFollowUp(trx: Db, task: TaskRow): Promise<MessageRefused | null> {
  // Locks the session's row: nobody archives it or removes its recordings meanwhile.
  await currentAttempt(trx, task.session_id)
  const session = await getSession(trx, task.session_id)
  if (session === undefined || session.archived_at !== null) {
    return refuse('session_archived', 'The session of this task is archived; order a new task.')
  }
  if (session.recordings_removed_at !== null) {
    const why =
      'What was recorded of this task, its conversation too, was kept for as long as this server keeps it and is gone; order it again.'
    return refuse('no_conversation', why)
  }
  const conversation = { sessionId: session.id, conversationId: session.conversation_id }
  if (!(await hasConversation(trx, conversation))) {
    const why = `The task ended (${task.reason}) before its agent said anything, so there is no conversation to go on with; order it again.`
    return refuse('no_conversation', why)
  }
  const { kept } = progressOf(task.progress)
  if (kept?.directory !== undefined) {
    const why = `The work of this task could not be kept and is only in ${kept.directory} on the server, where a follow-up could not work on; take it from there and order a new task.`
    return refuse('work_not_kept', why)
  }
  const maxBudgetUsd = limitUsdOf(task)
  if (maxBudgetUsd !== undefined && session.cost_usd >= maxBudgetUsd) {
    const why = `The budget of this task is used up: $${session.cost_usd.toFixed(2)} of $${maxBudgetUsd.toFixed(2)}, which counts for all of it; order a new task.`
    return refuse('budget_spent', why)
  }
  return deployBegun(task)
}

/**
 * Lets an ended task go on: the same session, conversation, branch and pull request. It waits for a
 * slot again, its time limit and its rounds of checks count anew, its budget does not; it will end
 * once more, with a callback of that end. Its work, its result and its events stay.
 */
export async function reopenTask(
  trx: Trx,
  o: {
    readonly task: TaskRow
    readonly message: MessageRow
    readonly queue: WorkQueue
    readonly clock: Clock
  },
): Promise<void> {
  const { task, message, queue, clock } = o
  // After the task, which is locked: work of an ended task is nobody else's to lock.
  await queue.enqueue(trx, { sessionId: task.session_id, priority: task.priority })
  await moveTask(trx, {
    taskId: task.id,
    to: { status: 'pending', reason: 'queued' },
    progress: reopened(progressOf(task.progress), message),
    clock,
  })
  await updateTask(trx, task.id, {
    reopened: task.reopened + 1,
    startedAt: null,
    parkedMs: 0,
    completedAt: null,
    cancelRequestedAt: null,
    error: null,
  })
  // Of its endpoints.
  await tellOfSecret(trx)
}

/** What stays of a task's progress when it is reopened; everything else is done anew. */
function reopened(progress: Progress, message: MessageRow): Progress {
  const { base, checks, summary, kept, pushed, earlier, budgetUsd } = progress
  const branch = kept?.pushed?.branch ?? pushed?.branch
  const isPatch = kept?.artifacts.includes(patchName) === true
  const isNewer = branch !== undefined || isPatch
  const scrubbed = isNewer ? isPatch && kept.scrubbed === true : earlier?.scrubbed === true
  const url = progress.pullRequestUrl ?? earlier?.pullRequestUrl
  return {
    ...progressOf({}),
    ...(base === undefined ? {} : { base }),
    ...{ checks, summary },
    ...(budgetUsd === undefined ? {} : { budgetUsd }),
    earlier: {
      messageId: message.id,
      title: titleOf({ instructions: message.text }),
      patch: isNewer ? isPatch : earlier?.patch === true,
      ...(scrubbed && { scrubbed }),
      ...((branch ?? earlier?.branch) ? { branch: branch ?? earlier?.branch } : {}),
      ...(url === undefined ? {} : { pullRequestUrl: url }),
    },
  }
}

/** The artifact that holds work which could not be pushed. */
export const patchName = 'work.patch'
