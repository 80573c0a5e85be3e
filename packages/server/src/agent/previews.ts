import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import { newId } from '../ids.ts'
import { type Fields, fieldsOf, textOf } from './fields.ts'

/** Promised ids and streaming answers that are remembered; beyond them there are no previews. */
const promisedMax = 1000

/** Which event a streamed block will be. */
const previewed: ReadonlyMap<unknown, string> = new Map([
  ['text', 'agent.message'],
  ['thinking', 'agent.thinking'],
])

/**
 * Live previews of events that are not written yet. `event_start` promises an id, `event_delta`
 * brings text, and the event that is stored at last carries the promised id.
 */
export class Previews {
  readonly #clock: Clock
  /** The answer that streams, by thread, and the event its current block will be. */
  readonly #open = new Map<string, { messageId: string; eventId: string | null }>()
  /** Ids in the order of their blocks, by message and event type. */
  readonly #promised = new Map<string, string[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A frame of a streamed answer, as deltas for who watches. */
  streamed(thread: string, frame: Fields): NewEvent[] {
    if (frame['type'] === 'message_start' && this.#open.size < promisedMax) {
      const messageId = textOf(fieldsOf(frame['message'])['id'])
      this.#open.set(thread, { messageId, eventId: null })
    }
    const open = this.#open.get(thread)
    if (open === undefined) return []
    switch (frame['type']) {
      case 'content_block_start': {
        const type = previewed.get(fieldsOf(frame['content_block'])['type'])
        open.eventId = type === undefined ? null : this.#promise(open.messageId, type)
        return open.eventId === null
          ? []
          : [{ type: 'event_start', event: { type, id: open.eventId } }]
      }
      case 'content_block_delta': {
        const { type, text } = fieldsOf(frame['delta'])
        if (type !== 'text_delta' || open.eventId === null) return []
        const content = { type: 'text', text: textOf(text) }
        const delta = { type: 'content_delta', index: 0, content }
        return [{ type: 'event_delta', event_id: open.eventId, delta }]
      }
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
