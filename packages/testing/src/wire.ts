/**
 * What this package needs to know of a Messages API request. Everything else in a request (tool
 * schemas, beta fields, cache marks) is carried by clients and of no interest to a script.
 */

/** One content block; unknown types are kept and ignored. */
export interface WireBlock {
  readonly type: string
  readonly text?: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
  readonly tool_use_id?: string
  readonly content?: unknown
  readonly is_error?: boolean
}

/**
 * One message. Besides `user` and `assistant`, the claude CLI puts `system` messages into the middle
 * of a conversation; their text changes from request to request.
 */
export interface WireMessage {
  readonly role: string
  readonly content: readonly WireBlock[]
}

/** The part of a request that is read, with every content in its block form. */
export interface WireRequest {
  readonly model: string
  readonly effort: string
  readonly maxTokens: number
  readonly stream: boolean
  readonly system: string
  readonly tools: readonly string[]
  readonly messages: readonly WireMessage[]
  /** `metadata.user_id`, in which the CLI names its session. */
  readonly userId: string
}

/** Reads a request's JSON; missing or misshapen parts become empty, for `findViolations` to tell. */
export function readRequest(json: unknown): WireRequest {
  const { model, max_tokens: maxTokens, stream, system, tools, messages, metadata } = objectOf(json)
  const { effort } = objectOf(objectOf(json)['output_config'])
  return {
    model: textOf(model),
    effort: textOf(effort),
    maxTokens: typeof maxTokens === 'number' ? maxTokens : 0,
    stream: stream === true,
    system: joinTexts(blocksOf(system)),
    tools: arrayOf(tools).map(nameOf),
    messages: arrayOf(messages).map(messageOf),
    userId: userIdOf(metadata),
  }
}

/** The texts of blocks, one a line. */
export function joinTexts(blocks: readonly WireBlock[]): string {
  return blocks
    .filter((block) => block.type === 'text')
    .map((block) => textOf(block.text))
    .join('\n')
}

/** A content, which the API takes as a string or as blocks, in its block form. */
export function blocksOf(content: unknown): readonly WireBlock[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  // The block's fields are checked where they are read.
  return arrayOf(content).map((block) => ({ type: '', ...(objectOf(block) as object) }))
}

/** The value as an object; empty when it is none. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

function messageOf(value: unknown): WireMessage {
  const { role, content } = objectOf(value)
  return { role: textOf(role), content: blocksOf(content) }
}

function nameOf(tool: unknown): string {
  const { name } = objectOf(tool)
  return textOf(name)
}

function userIdOf(metadata: unknown): string {
  const { user_id: userId } = objectOf(metadata)
  return textOf(userId)
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
