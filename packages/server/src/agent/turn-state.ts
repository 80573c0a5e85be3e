import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import { countOf, type Fields, fieldsOf, listOf, textOf } from './fields.ts'

/*
 * When is a turn over? Not at its first `result`. Bash moves a command that outlives its timeout
 * to the background and ends the model's turn; when the command ends, the CLI starts another one
 * by itself, to tell the model. So:
 *
 *   working   the session is not idle, or has not answered since the message was sent, or has not
 *             dealt with one that was sent in the middle of the turn.
 *             Silence here is a stall.
 *   waiting   idle, but work goes on in the background: a foreground command that was moved there,
 *             or a subagent. Silent for as long as it takes; the task's deadline bounds it.
 *   lingering idle, and all that is left are commands that the model started in the background
 *             itself: a server, a watcher. They get a grace, then they are stopped.
 *   settling  idle and nothing left, but something in the background has just ended: the turn that
 *             tells the model about it starts within a moment, or never.
 *   over      idle, and nothing more will come by itself. A result that is an error ends the turn
 *             at once, whatever is left in the background.
 */
type TurnPhase =
  | { readonly kind: 'working' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'lingering'; readonly taskIds: readonly string[] }
  | { readonly kind: 'settling' }
  | { readonly kind: 'over'; readonly result: unknown }

/** What is known about a session between its messages. */
export interface TurnState {
  readonly isIdle: boolean
  /** Messages that were sent and not dealt with, by their UUIDs. */
  readonly unread: ReadonlySet<string>
  /** The last result since the turn began, and the last one's text that was not empty. */
  readonly result: Fields | null
  readonly text: string
  /** Tasks in the background, all of them. */
  readonly live: readonly LiveTask[]
  /** The tool call that started a task. */
  readonly callOfTask: ReadonlyMap<string, string>
  /** Bash calls with `run_in_background`. */
  readonly backgroundCalls: ReadonlySet<string>
  /** Tasks that nobody waits for any more. */
  readonly abandoned: ReadonlySet<string>
  /** Something in the background ended, and no turn has begun since. */
  readonly isNotified: boolean
  /** The CLI said that it will be silent for this long before it asks the model again. */
  readonly announcedSilenceMs: number
}

interface LiveTask {
  readonly id: string
  readonly type: string
}

/** Calls and tasks that are remembered in a session; the oldest are forgotten. */
const rememberedMax = 10_000

export const newSession: TurnState = {
  isIdle: true,
  unread: new Set(),
  result: null,
  text: '',
  live: [],
  callOfTask: new Map(),
  backgroundCalls: new Set(),
  abandoned: new Set(),
  isNotified: false,
  announcedSilenceMs: 0,
}

/** A message is about to be sent. */
export function beginTurn(state: TurnState): TurnState {
  return { ...state, result: null, text: '', isNotified: false, announcedSilenceMs: 0 }
}

/** A message with this UUID is about to be sent. */
export function expect(state: TurnState, uuid: string): TurnState {
  return { ...state, unread: new Set([...state.unread, uuid]) }
}

/** These tasks are to be stopped: the turn does not wait for them. */
export function abandon(state: TurnState, taskIds: readonly string[]): TurnState {
  return { ...state, abandoned: new Set([...state.abandoned, ...taskIds].slice(-rememberedMax)) }
}

/** What a message of the SDK changes. */
export function advance(state: TurnState, message: SDKMessage): TurnState {
  const fields = fieldsOf(message)
  const heard = state.announcedSilenceMs === 0 ? state : { ...state, announcedSilenceMs: 0 }
  switch (fields['type']) {
    case 'assistant':
      return withCalls(heard, fields)
    case 'result':
      return { ...heard, result: fields, text: textOf(fields['result']) || heard.text }
    case 'system':
      return withSystem(heard, fields)
    case 'command_lifecycle':
      return withMessage(heard, fields)
    default:
      return heard
  }
}

/** Where the turn is. */
export function phaseOf(state: TurnState): TurnPhase {
  if (!state.isIdle || state.result === null) return { kind: 'working' }
  if (state.result['is_error'] === true) return { kind: 'over', result: state.result }
  if (state.unread.size > 0) return { kind: 'working' }
  const left = state.live.filter((task) => !state.abandoned.has(task.id))
  if (left.some((task) => !isLingering(state, task))) return { kind: 'waiting' }
  if (left.length > 0) return { kind: 'lingering', taskIds: left.map((task) => task.id) }
  if (state.isNotified) return { kind: 'settling' }
  return { kind: 'over', result: { ...state.result, result: state.text } }
}

/** A subagent ends by itself; a command in the background was perhaps never meant to. */
function isLingering(state: TurnState, task: LiveTask): boolean {
  const call = state.callOfTask.get(task.id)
  return task.type !== 'local_agent' && call !== undefined && state.backgroundCalls.has(call)
}

function withCalls(state: TurnState, message: Fields): TurnState {
  const calls = listOf(fieldsOf(message['message'])['content'])
    .map(fieldsOf)
    .filter((block) => fieldsOf(block['input'])['run_in_background'] === true)
    .map((block) => textOf(block['id']))
  if (calls.length === 0) return state
  const all = [...state.backgroundCalls, ...calls].slice(-rememberedMax)
  return { ...state, backgroundCalls: new Set(all) }
}

/** The CLI tells of each message that has a UUID: queued, started, and at last how it was done. */
function withMessage(state: TurnState, message: Fields): TurnState {
  if (message['state'] === 'queued' || message['state'] === 'started') return state
  const done = textOf(message['command_uuid'])
  return { ...state, unread: new Set([...state.unread].filter((uuid) => uuid !== done)) }
}

function withSystem(state: TurnState, message: Fields): TurnState {
  switch (message['subtype']) {
    case 'session_state_changed': {
      const isIdle = message['state'] === 'idle'
      return { ...state, isIdle, isNotified: isIdle && state.isNotified }
    }
    case 'task_started': {
      const started: [string, string] = [textOf(message['task_id']), textOf(message['tool_use_id'])]
      const all = [...state.callOfTask, started].slice(-rememberedMax)
      return { ...state, callOfTask: new Map(all) }
    }
    case 'background_tasks_changed':
      return { ...state, live: listOf(message['tasks']).map(fieldsOf).flatMap(liveTask) }
    case 'task_notification':
      return message['ambient'] === true ? state : { ...state, isNotified: true }
    case 'api_retry':
      return { ...state, announcedSilenceMs: countOf(message['retry_delay_ms']) }
    default:
      return state
  }
}

function liveTask(task: Fields): LiveTask[] {
  // Ambient tasks are the CLI's own housekeeping.
  if (task['ambient'] === true) return []
  return [{ id: textOf(task['task_id']), type: textOf(task['task_type']) }]
}
