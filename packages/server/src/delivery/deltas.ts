import type { NewEvent } from '../events/append.ts'

/** Deltas held for one reader while events go first; beyond them they are dropped. */
const heldMax = 64

/**
 * Chooses the live deltas that a reader asked for, and keeps their place: after the events that
 * were stored before them, never after the event that they are pieces of. A reader that came in the
 * middle of a message gets the whole of it as an event, and no deltas.
 */
export class Deltas {
  readonly #types: ReadonlySet<string>
  /** Events that are being made, by id: `event_start` was seen, the event itself was not. */
  readonly #started = new Set<string>()
  #held: NewEvent[] = []
  /** The last that were sent whole: what comes of another process may come after its event. */
  readonly #done = new Set<string>()

  constructor(types: ReadonlySet<string>) {
    this.#types = types
  }

  /** Takes what came; call it before the events are read. */
  hold(events: readonly NewEvent[]): void {
    if (this.#types.size === 0) return
    for (const event of events) {
      const started = startedBy(event)
      if (started && this.#types.has(started.type) && this.#started.size < heldMax)
        if (!this.#done.has(started.id)) this.#started.add(started.id)
      if (this.#held.length < heldMax) this.#held.push(event)
    }
  }

  /** Notes that an event was sent whole. */
  sent(id: string): void {
    this.#started.delete(id)
    if (this.#types.size === 0) return
    this.#done.add(id)
    const [oldest] = this.#done
    if (this.#done.size > heldMax && oldest !== undefined) this.#done.delete(oldest)
  }

  /** What may be sent now, in order; call it when no stored event is left to send. */
  release(): NewEvent[] {
    const held = this.#held
    this.#held = []
    return held.filter((event) => {
      const id = startedBy(event)?.id ?? event['event_id']
      return typeof id === 'string' && this.#started.has(id)
    })
  }
}

/** The event that an `event_start` promises. */
function startedBy(event: NewEvent): { readonly id: string; readonly type: string } | null {
  const promised: unknown = event.type === 'event_start' ? event['event'] : null
  if (typeof promised !== 'object' || promised === null) return null
  const [id, type]: unknown[] = [Reflect.get(promised, 'id'), Reflect.get(promised, 'type')]
  return typeof id === 'string' && typeof type === 'string' ? { id, type } : null
}
