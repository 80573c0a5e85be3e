import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { WireBlock, WireMessage, WireRequest } from './wire.ts'
import { blocksOf, joinTexts, objectOf } from './wire.ts'

/** What a script may look at: the conversation as the client sent it, so nothing else can matter. */
export interface Conversation {
  /** The session's id (and the subagent's); without the CLI's headers a hash of the first message. */
  readonly key: string
  readonly model: string
  /** `output_config.effort`; empty: the request says nothing of it. */
  readonly effort: string
  readonly system: string
  /** Names of the tools on offer. */
  readonly tools: readonly string[]
  /** User messages and assistant turns, in their order. */
  readonly history: readonly Entry[]
  /** What people (and the server) said, reminders of the CLI left out. */
  readonly userTexts: readonly string[]
  readonly lastUserText: string
  /** The CLI's own words: reminders and messages of the system, what hooks said among them. */
  readonly notices: readonly string[]
  /** Results of the last turn's tool calls; empty when the last turn called none. */
  readonly lastResults: readonly ToolResult[]
  /** Assistant turns so far: the number, counted from 0, of the turn that is asked for. */
  readonly turns: number
}

/** A message from outside, or one answer of the model together with what its tools returned. */
export type Entry =
  | { readonly kind: 'user'; readonly text: string }
  | {
      readonly kind: 'turn'
      readonly text: string
      readonly calls: readonly ToolCall[]
      readonly results: readonly ToolResult[]
    }

/** A tool call of the model. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly input: Readonly<Record<string, unknown>>
}

/** What a tool returned. */
export interface ToolResult {
  readonly id: string
  readonly name: string
  readonly text: string
  readonly isError: boolean
  /** The process died before the result was recorded; the resumed CLI says so in its place. */
  readonly interrupted: boolean
}

/** A text-only answer that a resuming CLI puts in for an answer that never came. */
const placeholderText = 'No response requested.'
const interruptedStart = '[Tool call interrupted'
/** How the CLI hands over messages that came in the middle of a turn: several may be in one block. */
const steeredMessages =
  /(?:^|\n\n)The user sent a new message while you were working:\n(.*?)\n\nThis is how Claude Code/gs
const noticeStart = '[SYSTEM NOTIFICATION'
const reminder = /^\s*<system-reminder>.*<\/system-reminder>\s*$/s
/** First words of a conversation that was compacted: its earlier turns are gone on purpose. */
const compactedStart = 'This session is being continued from a previous conversation'

/** Reads the conversation out of a request. */
export function readConversation(
  request: WireRequest,
  headers: IncomingHttpHeaders = {},
): Conversation {
  const history = readHistory(request.messages)
  const userTexts = history.filter((entry) => entry.kind === 'user').map((entry) => entry.text)
  const turns = history.filter((entry) => entry.kind === 'turn')
  return {
    key: keyOf({ request, headers, firstText: userTexts[0] ?? '' }),
    model: request.model,
    effort: request.effort,
    system: request.system,
    tools: request.tools,
    history,
    userTexts,
    lastUserText: userTexts.at(-1) ?? '',
    notices: request.messages.flatMap(({ role, content }) =>
      content.flatMap(({ type, text = '' }) =>
        role === 'system' || (role === 'user' && type === 'text' && reminder.test(text))
          ? [text]
          : [],
      ),
    ),
    lastResults: turns.at(-1)?.results ?? [],
    turns: turns.length,
  }
}

function readHistory(messages: readonly WireMessage[]): Entry[] {
  const history: Entry[] = []
  let calls: readonly ToolCall[] = []
  let results: ToolResult[] = []
  for (const message of messages) {
    if (message.role === 'assistant') {
      const turn = readTurn(message.content)
      if (turn === null) continue
      calls = turn.calls
      results = []
      history.push({ kind: 'turn', ...turn, results })
    } else {
      results.push(...readResults(message.content, calls))
      const texts =
        message.role === 'system' ? systemTexts(message.content) : userTexts(message.content)
      history.push(...texts.map((text) => ({ kind: 'user' as const, text })))
    }
  }
  return history
}

function readTurn(content: readonly WireBlock[]): { text: string; calls: ToolCall[] } | null {
  const text = joinTexts(content.filter((block) => block.text !== placeholderText))
  const calls = content
    .filter((block) => block.type === 'tool_use')
    .map(({ id = '', name = '', input }) => ({ id, name, input: objectOf(input) }))
  const isPlaceholder =
    text === '' && calls.length === 0 && content.some((block) => block.text === placeholderText)
  return isPlaceholder ? null : { text, calls }
}

function readResults(
  content: readonly WireBlock[],
  calls: readonly ToolCall[],
): readonly ToolResult[] {
  return content
    .filter((block) => block.type === 'tool_result')
    .map((block) => {
      const text = joinTexts(blocksOf(block.content))
      return {
        id: block.tool_use_id ?? '',
        name: calls.find((call) => call.id === block.tool_use_id)?.name ?? '',
        text,
        isError: block.is_error === true,
        interrupted: text.startsWith(interruptedStart),
      }
    })
}

function userTexts(content: readonly WireBlock[]): readonly string[] {
  return content.flatMap(({ type, text = '' }) =>
    type === 'text' && !reminder.test(text) ? [text] : [],
  )
}

/** Of the CLI's own system messages, those that stand for something said or ended outside. */
function systemTexts(content: readonly WireBlock[]): readonly string[] {
  return content.flatMap(({ text = '' }) => {
    const steered = [...text.matchAll(steeredMessages)].map(([, said = '']) => said)
    if (steered.length > 0) return steered
    return text.startsWith(noticeStart) ? [text] : []
  })
}

function keyOf(o: {
  request: WireRequest
  headers: IncomingHttpHeaders
  firstText: string
}): string {
  const session = headerOf(o.headers, 'x-claude-code-session-id') ?? sessionIn(o.request.userId)
  const agent = headerOf(o.headers, 'x-claude-code-agent-id')
  const first = createHash('sha256').update(o.firstText).digest('hex').slice(0, 12)
  const parts = [session ?? first, agent]
  if (session !== undefined && o.firstText.startsWith(compactedStart)) parts.push(first)
  return parts.filter((part) => part !== undefined).join('/')
}

/** The CLI's `user_id` is JSON in a string; of anything else the whole text names the session. */
function sessionIn(userId: string): string | undefined {
  const named = /"session_id":"([^"]+)"/.exec(userId)?.[1]
  return named ?? (userId === '' ? undefined : userId)
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}
