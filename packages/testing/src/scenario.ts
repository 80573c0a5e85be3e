import type { Conversation } from './conversation.ts'

/**
 * Decides the next answer from the conversation alone, so a resumed conversation goes on where it
 * was, whoever restarted in between. `undefined`: not mine, ask the next scenario.
 */
export type Scenario = (conversation: Conversation) => Step | undefined

/** One answer of the model, and how it is given. */
export interface Step extends StepOptions {
  readonly content: readonly AnswerBlock[]
}

/** A piece of an answer. */
export type AnswerBlock =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thinking'; readonly thinking: string }
  | {
      readonly type: 'tool_use'
      readonly name: string
      readonly input: Readonly<Record<string, unknown>>
    }

/** How an answer is given. */
export interface StepOptions {
  /** Milliseconds between the start of the answer and its content; pings go on meanwhile. */
  readonly delayMs?: number
  /** The content waits for this as well; a function is called once a request. */
  readonly until?: Promise<unknown> | ((conversation: Conversation) => Promise<unknown>)
  /** What goes wrong instead. */
  readonly fault?: Fault
  /** Token counts to report; what is not given is estimated from the text. */
  readonly usage?: Partial<Usage>
}

/** Token counts as the Messages API names them. */
export interface Usage {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_input_tokens: number
  readonly cache_creation_input_tokens: number
}

/**
 * A fault happens the first `times` (default 1, `Infinity` for ever) that its turn is asked for.
 * `status`: an API error. `cut`: the connection breaks half-way. `hang`: silence, either before the
 * headers or half-way. `error_event`: an `error` event half-way in the stream.
 */
export type Fault = { readonly times?: number } & (
  | {
      readonly kind: 'status'
      readonly status: FaultStatus
      readonly retryAfterS?: number
      /** Of the error; default: `as scripted`. */
      readonly message?: string
    }
  | { readonly kind: 'cut' }
  | { readonly kind: 'hang'; readonly where: 'headers' | 'stream' }
  | { readonly kind: 'error_event' }
)

/** Error statuses that the model can answer with. */
export type FaultStatus = 400 | 401 | 403 | 404 | 413 | 429 | 500 | 529

/** A rule of a script: what is said by the user, and the steps that it sets off, in their order. */
export interface Rule {
  readonly on: Matcher
  readonly steps: readonly (Step | ((conversation: Conversation) => Step))[]
}

/** A part of the user's text, a pattern for it, or a question about it and the conversation. */
export type Matcher = string | RegExp | ((text: string, conversation: Conversation) => boolean)

/**
 * A scenario from rules. Each user message that a rule matches (the first that does, in the order
 * given) sets off that rule's steps, one an assistant turn; other messages change nothing. A turn
 * whose tool call was cut off by a crash is given again. After the last step it is said again, or
 * `Done.` if it called a tool. Conversations in which no rule ever matched are not this script's.
 *
 *     script(
 *       when('mend the sum', use('Bash', { command: 'npm test' }), use('Edit', …), say('Mended.')),
 *       when(/checks? failed/i, use('Edit', …), say('Now they pass.')),
 *     )
 */
export function script(...rules: readonly Rule[]): Scenario {
  return (conversation) => {
    let current: Rule | undefined
    let turns = 0
    for (const entry of conversation.history) {
      if (entry.kind === 'user') {
        const next = rules.find((rule) => matches(rule.on, entry.text, conversation))
        if (next !== undefined) [current, turns] = [next, 0]
      } else if (!entry.results.some((result) => result.interrupted)) {
        turns += 1
      }
    }
    return current && stepOf(current, turns, conversation)
  }
}

/** A rule for `script`. */
export function when(on: Matcher, ...steps: Rule['steps']): Rule {
  return { on, steps }
}

/** An answer of one text, which ends the model's turn. */
export function say(text: string, options: StepOptions = {}): Step {
  return { ...options, content: [{ type: 'text', text }] }
}

/** An answer that calls one tool. */
export function use(
  name: string,
  input: Readonly<Record<string, unknown>>,
  options: StepOptions = {},
): Step {
  return { ...options, content: [{ type: 'tool_use', name, input }] }
}

/** One answer from several: their contents in order, the options of all. */
export function together(...steps: readonly Step[]): Step {
  return Object.assign({}, ...steps, { content: steps.flatMap((step) => step.content) })
}

/** Thinking, to stand before something in `together`. */
export function think(thinking: string, options: StepOptions = {}): Step {
  return { ...options, content: [{ type: 'thinking', thinking }] }
}

function matches(on: Matcher, text: string, conversation: Conversation): boolean {
  if (typeof on === 'string') return text.includes(on)
  return on instanceof RegExp ? text.search(on) >= 0 : on(text, conversation)
}

function stepOf(rule: Rule, turns: number, conversation: Conversation): Step {
  const last = rule.steps.length - 1
  const chosen = rule.steps[Math.min(turns, last)]
  const step = typeof chosen === 'function' ? chosen(conversation) : chosen
  const isSaying = step?.content.every((block) => block.type !== 'tool_use')
  return step !== undefined && (turns <= last || isSaying === true) ? step : say('Done.')
}
