import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Hint } from '../store/hint.ts'
import { Listener } from '../store/listen.ts'
import type { Store } from '../store/open.ts'
import { eventsChannel, type NewEvent } from './append.ts'
import { FarDeltas } from './far-deltas.ts'

/** Deltas that wait for one reader; beyond them they are dropped, for the event itself will come. */
const deltasMax = 64

/** One reader's view of one session. Dispose it when the reader goes. */
export interface Subscription extends Disposable {
  /**
   * Resolves when there may be something new: at once if there was a hint since the last wait, and
   * after 1 s, or the time that was chosen, in any case. Rejects with the signal's reason. One wait at a time.
   */
  wait(signal: AbortSignal): Promise<void>
  /** The deltas that came since the last call, at most 64. */
  takeDeltas(): readonly NewEvent[]
}

interface Reader {
  readonly hint: Hint
  deltas: NewEvent[]
}

/**
 * Tells readers that a session's log has grown, wherever it was written; they read the rows
 * themselves, after their own number. Deltas (pieces of a message that is still being written) are
 * are never stored: readers in other processes get them while they ask for them.
 */
export class LiveEvents implements AsyncDisposable {
  readonly #clock: Clock
  readonly #readers = new Map<string, Set<Reader>>()
  #listener: Listener | undefined
  #far: FarDeltas | undefined

  /** Resolves once the database notifies us. */
  static async open(o: { store: Store; log: Log; clock: Clock }): Promise<LiveEvents> {
    const live = new LiveEvents(o.clock)
    live.#listener = await Listener.open({
      ...o,
      channel: eventsChannel,
      onHint: (sessionId) => live.#hint(sessionId),
    })
    const onDelta = (sessionId: string, event: NewEvent): void => live.#hand(sessionId, event)
    live.#far = await FarDeltas.open({ ...o, onDelta })
    return live
  }

  private constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Readers there are now. */
  get readerCount(): number {
    return this.#readers.values().reduce((sum, readers) => sum + readers.size, 0)
  }

  /**
   * `pollMs`: how long a lost hint may keep something from the reader. `deltas`: whether it wants those
   * of other processes, too.
   */
  subscribe(
    sessionId: string,
    o: { readonly pollMs?: number; readonly deltas?: boolean } = {},
  ): Subscription {
    const wish = o.deltas === true ? this.#far?.want(sessionId) : undefined
    const reader: Reader = { hint: new Hint(this.#clock, o.pollMs), deltas: [] }
    const readers = this.#readers.get(sessionId) ?? new Set()
    this.#readers.set(sessionId, readers.add(reader))
    return {
      wait: (signal) => reader.hint.wait(signal),
      takeDeltas() {
        const taken = reader.deltas
        reader.deltas = []
        return taken
      },
      [Symbol.dispose]: () => {
        wish?.[Symbol.dispose]()
        readers.delete(reader)
        if (readers.size === 0 && this.#readers.get(sessionId) === readers)
          this.#readers.delete(sessionId)
      },
    }
  }

  /** Hands a live-only event to the session's readers; costs nothing without any. */
  delta(sessionId: string, event: NewEvent): void {
    this.#hand(sessionId, event)
    this.#far?.send(sessionId, event)
  }

  #hand(sessionId: string, event: NewEvent): void {
    for (const reader of this.#readers.get(sessionId) ?? []) {
      if (reader.deltas.length < deltasMax) reader.deltas.push(event)
      reader.hint.give()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#far?.[Symbol.asyncDispose]()
    await this.#listener?.[Symbol.asyncDispose]()
    this.#readers.clear()
  }

  /** Null: hints may have been missed, so everybody looks. */
  #hint(sessionId: string | null): void {
    const chosen = sessionId === null ? [...this.#readers.values()] : [this.#readers.get(sessionId)]
    for (const readers of chosen) for (const reader of readers ?? []) reader.hint.give()
  }
}
