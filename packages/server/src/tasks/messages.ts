import type { MessageMode } from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { appendEvents, type NewEvent } from '../events/append.ts'
import { newId } from '../ids.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import { insertMessage, markProcessed, waitingMessages } from '../store/messages.ts'
import type { Store } from '../store/open.ts'
import type { MessageRow, TaskRow, Trx } from '../store/tables.ts'
import { lockTask } from '../store/tasks.ts'
import { noFollowUp, reopenTask } from './follow-up.ts'
import { hasEnded } from './machine.ts'
import { deployBegun, type MessageRefused, refuse } from './message-refused.ts'
import { progressOf } from './progress.ts'

/** Messages of one task that wait to be read, at most: enough for people, not for a loop. */
const waitingMessagesMax = 20

/** Something that is said to a task's agent. */
export interface Saying {
  readonly taskId: string
  readonly said: Said
  readonly caller: Caller
}

/** What was said, and when it is to be read. */
interface Said {
  readonly text: string
  readonly mode: MessageMode
}

export type MessageSent =
  | { readonly kind: 'accepted'; readonly message: MessageRow; readonly reopened: boolean }
  | MessageRefused

interface Deps {
  readonly queue: WorkQueue
  readonly clock: Clock
}

/**
 * Takes a message to a task's agent with the caller's transaction: it is in the log, and among what
 * waits for the agent. A task that has ended goes on with it: see `reopenTask`. Whether a task has
 * ended is decided under its row's lock, which ends take as well: a message is read by the task that
 * runs, or reopens the one that ended. `undefined`: there is no such task.
 */
export async function sendMessage(
  trx: Trx,
  deps: Deps,
  o: Saying,
): Promise<MessageSent | undefined> {
  const task = await lockTask(trx, o.taskId)
  if (task === undefined) return undefined
  const ended = hasEnded(task)
  const unfit = ended ? await noFollowUp(trx, task) : refusalOf(task)
  const refused = unfit ?? (await fullness(trx, task))
  if (refused !== null) return refused
  const message = await accept(trx, { ...o, task, clock: deps.clock })
  if (ended) await reopenTask(trx, { ...deps, task, message })
  return { kind: 'accepted', message, reopened: ended }
}

/** Why the agent of a task that has not ended will read nothing more. */
function refusalOf(task: TaskRow): MessageRefused | null {
  const { ending } = progressOf(task.progress)
  if (task.cancel_requested_at !== null) {
    return refuse('task_ending', 'The task is being cancelled; its agent reads nothing more.')
  }
  if (ending !== undefined) {
    const why = `The task is ending (${ending.reason}) and its agent reads nothing more; send the message again when the task has ended.`
    return refuse('task_ending', why)
  }
  return deployBegun(task)
}

async function fullness(trx: Trx, task: TaskRow): Promise<MessageRefused | null> {
  const { length } = await waitingMessages(trx, task.session_id)
  if (length < waitingMessagesMax) return null
  const why = `${length} messages wait to be read by the agent: expected at most ${waitingMessagesMax}. Send it again when some are read.`
  return refuse('too_many_messages', why)
}

/** The message, among those that wait and in the log, as accepted and not processed. */
async function accept(
  trx: Trx,
  o: {
    readonly task: TaskRow
    readonly said: Said
    readonly caller: Caller
    readonly clock: Clock
  },
): Promise<MessageRow> {
  const { task, said, caller, clock } = o
  const id = newId('sevt', clock)
  const interruptId = said.mode === 'interrupt' ? newId('sevt', clock) : null
  const unread = { processed_at: null }
  const appended = await appendEvents(trx, {
    sessionId: task.session_id,
    events: [
      ...(interruptId === null ? [] : [{ id: interruptId, type: 'user.interrupt', ...unread }]),
      { id, ...eventOf({ ...said, created_by: caller.keyId }), ...unread },
    ],
    clock,
  })
  return insertMessage(trx, {
    ...{ id, sessionId: task.session_id, ...said, interruptId, createdBy: caller.keyId },
    seq: appended.at(-1)?.seq ?? 0,
    now: new Date(clock.now()),
  })
}

/**
 * The conversation has the message: its event comes again, now processed. In a transaction of its
 * own, fenced by the attempt: throws `LeaseLost`. Once for each message, however often it is called.
 */
export async function processMessage(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  { message, attempt }: { readonly message: MessageRow; readonly attempt: number },
): Promise<void> {
  const { id, session_id: sessionId, interrupt_id: interruptId } = message
  await store.db.transaction().execute(async (trx) => {
    if (!(await markProcessed(trx, { id, now: new Date(clock.now()) }))) return
    await appendEvents(trx, {
      sessionId,
      attempt,
      events: [
        ...(interruptId === null ? [] : [{ id: interruptId, type: 'user.interrupt' }]),
        { id, ...eventOf(message) },
      ],
      clock,
    })
  })
}

function eventOf(o: Said & { readonly created_by: string | null }): NewEvent {
  const content = [{ type: 'text', text: o.text }]
  return { type: 'user.message', content, mode: o.mode, created_by: o.created_by }
}
