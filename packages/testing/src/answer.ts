import { randomBytes } from 'node:crypto'
import type { FaultStatus, Step, Usage } from './scenario.ts'
import type { DeliveredBlock } from './turn-ledger.ts'

/** An answer as the Messages API gives it. */
export interface Answer {
  readonly id: string
  readonly model: string
  readonly content: readonly DeliveredBlock[]
  readonly stopReason: 'end_turn' | 'tool_use'
  readonly usage: Usage
}

/** Text that fits in one delta; small, so that a stream can be cut in the middle of a sentence. */
const deltaCharsMax = 24
/** A rough rule of thumb, as good as any for a script. */
const charsPerToken = 4

/** Makes a step into an answer: ids of its own for message and tool calls, and token counts. */
export function answerOf(o: { step: Step; model: string; promptChars: number }): Answer {
  const content = o.step.content.map((block) =>
    block.type === 'tool_use' ? { ...block, id: `toolu_${freshId()}` } : block,
  )
  return {
    id: `msg_${freshId()}`,
    model: o.model,
    content,
    stopReason: content.some((block) => block.type === 'tool_use') ? 'tool_use' : 'end_turn',
    usage: {
      input_tokens: Math.ceil(o.promptChars / charsPerToken),
      output_tokens: Math.ceil(JSON.stringify(content).length / charsPerToken),
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      ...o.step.usage,
    },
  }
}

/** The answer as one JSON body. */
export function messageOf(answer: Answer): object {
  return {
    ...emptyMessage(answer),
    content: answer.content.map((block) =>
      block.type === 'thinking' ? { ...block, signature } : block,
    ),
    stop_reason: answer.stopReason,
    usage: answer.usage,
  }
}

/** The first frame of the answer's stream; it already tells the input's token counts. */
export function startOf(answer: Answer): string {
  return frame('message_start', { message: emptyMessage(answer) })
}

/** The frames after it, up to `message_stop`. */
export function framesOf(answer: Answer): string[] {
  return [
    ...answer.content.flatMap(blockFrames),
    frame('message_delta', {
      delta: { stop_reason: answer.stopReason, stop_sequence: null },
      usage: answer.usage,
    }),
    frame('message_stop', {}),
  ]
}

/** Keeps a waiting connection alive. */
export const pingFrame = frame('ping', {})

const errorTypes: Readonly<Record<FaultStatus, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  529: 'overloaded_error',
}

/** The body of an error answer. */
export function errorOf(status: FaultStatus, message: string): { error: object; type: 'error' } {
  return { type: 'error', error: { type: errorTypes[status], message } }
}

/** The `error` event with which a stream can end. */
export const errorFrame = frame('error', { error: errorOf(529, 'Overloaded').error })

/** Thinking is signed by the real API; clients only carry it. */
const signature = 'c2NyaXB0ZWQ='

function emptyMessage(answer: Answer): object {
  return {
    id: answer.id,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { ...answer.usage, output_tokens: 1 },
  }
}

function blockFrames(block: DeliveredBlock, index: number): string[] {
  const delta = (type: string, key: string, value: string): string =>
    frame('content_block_delta', { index, delta: { type, [key]: value } })
  const [start, deltas] = ((): [object, string[]] => {
    switch (block.type) {
      case 'text':
        return [
          { ...block, text: '' },
          pieces(block.text).map((text) => delta('text_delta', 'text', text)),
        ]
      case 'thinking':
        return [
          { ...block, thinking: '', signature: '' },
          [
            ...pieces(block.thinking).map((text) => delta('thinking_delta', 'thinking', text)),
            delta('signature_delta', 'signature', signature),
          ],
        ]
      case 'tool_use':
        return [
          { ...block, input: {} },
          pieces(JSON.stringify(block.input)).map((text) =>
            delta('input_json_delta', 'partial_json', text),
          ),
        ]
    }
  })()
  return [
    frame('content_block_start', { index, content_block: start }),
    ...deltas,
    frame('content_block_stop', { index }),
  ]
}

/** At least two pieces of any text of two letters, so that there is a middle to break off in. */
function pieces(text: string): string[] {
  const chars = Math.max(1, Math.min(deltaCharsMax, Math.ceil(text.length / 2)))
  return text.match(new RegExp(`[^]{1,${chars}}`, 'gu')) ?? []
}

function frame(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
}

function freshId(): string {
  return randomBytes(12).toString('hex')
}
