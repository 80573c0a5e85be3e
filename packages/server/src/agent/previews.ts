import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import { newId } from '../ids.ts'
import type { ScrubbedText } from '../scrub/scrubbed-text.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import { type Fields, fieldsOf, textOf } from './fields.ts'

/** Promised ids and streaming answers that are remembered; beyond them there are no previews. */
const promisedMax = 1000
/** A model's pieces are words. A larger one, which is forged, has no preview: it would be looked through at once. */
const deltaCharsMax = 16 * 1024

/** Which event a streamed block will be. */
const previewed: ReadonlyMap<unknown, string> = new Map([
  ['text', 'agent.message'],
  ['thinking', 'agent.thinking'],
])

/** An answer that streams. */
interface Streaming {
  readonly messageId: string
  eventId: string | null
  /** Of the current block: a secret may be split over two of its pieces. */
  text: ScrubbedText
}

/**
 * Live previews of events that are not written yet. `event_start` promises an id, `event_delta`
 * brings text, a word at a time, and the event that is stored at last carries the promised id.
 */
export class Previews {
  readonly #clock: Clock
  readonly #scrubber: Scrubber
  /** The answer that streams, by thread, and the event its current block will be. */
  readonly #open = new Map<string, Streaming>()
  /** Ids in the order of their blocks, by message and event type. */
  readonly #promised = new Map<string, string[]>()

  constructor(o: { readonly clock: Clock; readonly scrubber: Scrubber }) {
    this.#clock = o.clock
    this.#scrubber = o.scrubber
  }

  /** A frame of a streamed answer, as deltas for who watches. */
  streamed(thread: string, frame: Fields): NewEvent[] {
    if (frame['type'] === 'message_start' && this.#open.size < promisedMax) {
      const messageId = textOf(fieldsOf(frame['message'])['id'])
      this.#open.set(thread, { messageId, eventId: null, text: this.#scrubber.pieces() })
    }
    const open = this.#open.get(thread)
    if (open === undefined) return []
    switch (frame['type']) {
      case 'content_block_start': {
        const type = previewed.get(fieldsOf(frame['content_block'])['type'])
        open.text = this.#scrubber.pieces()
        open.eventId = type === undefined ? null : this.#promise(open.messageId, type)
        return open.eventId === null
          ? []
          : [{ type: 'event_start', event: { type, id: open.eventId } }]
      }
      case 'content_block_delta': {
        const { type, text } = fieldsOf(frame['delta'])
        const piece = textOf(text)
        if (type !== 'text_delta' || piece.length > deltaCharsMax) return []
        return deltasOf(open, open.text.push(piece))
      }
      case 'content_block_stop':
        return deltasOf(open, open.text.end())
      case 'message_stop':
        this.#open.delete(thread)
        return []
      default:
        return []
    }
  }

  /** The event of a finished block, with the id that its preview promised, if there was one. */
  keep(messageId: string, type: string): NewEvent {
    const key = `${messageId} ${type}`
    const ids = this.#promised.get(key)
    const id = ids?.shift()
    if (ids?.length === 0) this.#promised.delete(key)
    return id === undefined ? { type } : { id, type }
  }

  /** The turn is over: what was promised and did not come is not coming. */
  clear(): void {
    this.#open.clear()
    this.#promised.clear()
  }

  #promise(messageId: string, type: string): string | null {
    const key = `${messageId} ${type}`
    const ids = this.#promised.get(key)
    if (ids === undefined && this.#promised.size >= promisedMax) return null
    const id = newId('sevt', this.#clock)
    if (ids === undefined) this.#promised.set(key, [id])
    else ids.push(id)
    return id
  }
}

function deltasOf({ eventId }: Streaming, text: string): NewEvent[] {
  if (eventId === null || text === '') return []
  const delta = { type: 'content_delta', index: 0, content: { type: 'text', text } }
  return [{ type: 'event_delta', event_id: eventId, delta }]
}
