import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import { newId } from '../ids.ts'
import { countOf, type Fields, fieldsOf, textOf } from './fields.ts'

/** Requests in flight at once: the conversation's and its subagents'. More get no span. */
const openMax = 100

/** One request to the model, from its start to its end. */
interface Span {
  readonly id: string
  /** Whether the answer has begun to stream. */
  started: boolean
  usage: Usage
}

interface Usage {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_input_tokens: number
  readonly cache_creation_input_tokens: number
}

/**
 * The requests in flight, by thread ('' is the conversation's own), as `span.model_request_start`
 * and `span.model_request_end`. A request begins before its retries and ends with the last frame of
 * its answer. One that has no such frame (an error, an interruption) ends with `is_error`.
 */
export class Spans {
  readonly #clock: Clock
  readonly #open = new Map<string, Span>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The conversation asks the model. Asked again before any answer, it is the same request. */
  requested(): NewEvent[] {
    const open = this.#open.get('')
    if (open !== undefined && !open.started) return []
    return [...this.#close('', true), ...this.#start('')]
  }

  /** A frame of a streamed answer. */
  streamed(thread: string, frame: Fields): NewEvent[] {
    switch (frame['type']) {
      case 'message_start': {
        const start = this.#open.has(thread) ? [] : this.#start(thread)
        const span = this.#open.get(thread)
        if (span === undefined) return start
        span.started = true
        span.usage = added(span.usage, fieldsOf(fieldsOf(frame['message'])['usage']))
        return start
      }
      case 'message_delta': {
        const span = this.#open.get(thread)
        if (span !== undefined) span.usage = added(span.usage, fieldsOf(frame['usage']))
        return []
      }
      case 'message_stop':
        return this.#close(thread, false)
      default:
        return []
    }
  }

  /** A whole answer: it ends its request when nothing of it was streamed. */
  answered(message: Fields): NewEvent[] {
    const thread = textOf(message['parent_tool_use_id'])
    const span = this.#open.get(thread)
    const answer = fieldsOf(message['message'])
    if (span === undefined || span.started || answer['model'] === '<synthetic>') return []
    span.usage = added(span.usage, fieldsOf(answer['usage']))
    return this.#close(thread, false)
  }

  /** The turn is over: what is still open got no answer. */
  closeAll(): NewEvent[] {
    return [...this.#open.keys()].flatMap((thread) => this.#close(thread, true))
  }

  #start(thread: string): NewEvent[] {
    if (this.#open.size >= openMax) return []
    const id = newId('sevt', this.#clock)
    this.#open.set(thread, { id, started: false, usage: noUsage })
    return [{ id, type: 'span.model_request_start' }]
  }

  #close(thread: string, isError: boolean): NewEvent[] {
    const span = this.#open.get(thread)
    if (span === undefined) return []
    this.#open.delete(thread)
    return [
      {
        type: 'span.model_request_end',
        model_request_start_id: span.id,
        is_error: isError,
        model_usage: span.usage,
      },
    ]
  }
}

const noUsage: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}

/** Later frames repeat counts of earlier ones, or have larger ones; they never subtract. */
function added(usage: Usage, more: Fields): Usage {
  const larger = (name: keyof Usage): number => Math.max(usage[name], countOf(more[name]))
  return {
    input_tokens: larger('input_tokens'),
    output_tokens: larger('output_tokens'),
    cache_read_input_tokens: larger('cache_read_input_tokens'),
    cache_creation_input_tokens: larger('cache_creation_input_tokens'),
  }
}
