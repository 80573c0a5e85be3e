import { sql } from 'kysely'
import type { Clock, Timer } from '../clock.ts'
import { newId } from '../ids.ts'
import type { Metrics } from '../metrics.ts'
import type { Store } from '../store/open.ts'
import { throughOutage } from '../store/outage.ts'
import { appendEvents, LeaseLost, type NewEvent } from './append.ts'

/** Events are gathered this long: at most 40 notifying commits a second and session. */
const batchMs = 25
const batchEventsMax = 100
/** What may wait for the database, but for one event that is larger; beyond it who writes waits. */
const waitingEventsMax = 10_000
const waitingBytesMax = 16 * 1024 * 1024
/** A database that is away longer than this takes the lease with it. */
const retryMsMax = 60_000
/** What waits when the writer is disposed of gets this long. */
const drainMsMax = 10_000

export interface EventWriterOptions {
  readonly store: Store
  readonly sessionId: string
  readonly attempt: number
  readonly clock: Clock
  readonly metrics: Metrics
  /** Called once, with LeaseLost or with the reason why the log cannot be written any more. */
  readonly onLost: (error: Error) => void
}

interface Waiting {
  readonly event: NewEvent
  readonly bytes: number
}

/**
 * Writes the events of one attempt, in order, in batches. A batch that fails with the connection is
 * tried again, and never stored twice. Disposing stores what waits.
 *
 * It is idle, gathering (a timer runs) or storing (one batch at a time); it ends as lost, and then
 * everything that waits is dropped and every call rejects.
 */
export class EventWriter implements AsyncDisposable {
  readonly #o: EventWriterOptions
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #timer: Timer | undefined
  #storing: Promise<void> | undefined
  /** There while it is full. */
  #room: PromiseWithResolvers<void> | undefined
  #lost: Error | undefined
  readonly #late = new AbortController()

  constructor(o: EventWriterOptions) {
    this.#o = o
  }

  /**
   * Takes an event, at once or when there is room; resolves when it is taken. Whoever awaits each
   * of its own keeps their order. Rejects once the log is lost.
   */
  async write(event: NewEvent): Promise<void> {
    while (this.#isFull()) {
      this.#room ??= Promise.withResolvers()
      await this.#room.promise
    }
    if (this.#lost) throw this.#lost
    // Named now: a batch that is tried again is recognised by its first event.
    const named = { ...event, id: event.id ?? newId('sevt', this.#o.clock) }
    const bytes = Buffer.byteLength(JSON.stringify(named))
    this.#waiting.push({ event: named, bytes })
    this.#waitingBytes += bytes
    if (this.#waiting.length >= batchEventsMax) this.#start()
    else this.#timer ??= this.#o.clock.after(batchMs, () => this.#start())
  }

  /** Resolves once everything that was written is stored; rejects when the log is lost. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#storing) {
      if (this.#lost) break
      this.#start()
      await this.#storing
    }
    if (this.#lost) throw this.#lost
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _limit = this.#o.clock.after(drainMsMax, () =>
      this.#late.abort(new Error('the log was not stored in time')),
    )
    await this.flush().catch(() => {}) // `onLost` has said so.
  }

  #isFull(): boolean {
    return this.#waiting.length >= waitingEventsMax || this.#waitingBytes >= waitingBytesMax
  }

  #start(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined
    })
  }

  /** Never rejects: a failure is the writer's end. */
  async #storeAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.slice(0, batchEventsMax)
        await this.#store(batch.map(({ event }) => event))
        this.#waiting.splice(0, batch.length)
        this.#waitingBytes -= batch.reduce((sum, { bytes }) => sum + bytes, 0)
        if (!this.#isFull()) this.#openRoom()?.resolve()
      }
    } catch (error) {
      this.#lose(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #openRoom(): PromiseWithResolvers<void> | undefined {
    const room = this.#room
    this.#room = undefined
    return room
  }

  #lose(error: Error): void {
    this.#lost = error
    this.#waiting = []
    this.#waitingBytes = 0
    this.#openRoom()?.reject(error)
    this.#o.onLost(error)
  }

  async #store(events: readonly NewEvent[]): Promise<void> {
    const { store, clock, metrics } = this.#o
    const batch = { ...this.#o, events }
    const begun = clock.elapsed()
    await throughOutage({ clock, ms: retryMsMax, signal: this.#late.signal }, async (failed) => {
      if (failed === 0) await appendEvents(store.db, batch)
      else await this.#storeAgain(batch)
    })
    metrics.eventsAppended.inc(events.length)
    metrics.eventBatchSeconds.observe((clock.elapsed() - begun) / 1000)
  }

  /**
   * The connection may have broken after the commit and before we heard of it. The session's row is
   * locked first, so that a first try which is still under way ends before we look.
   */
  async #storeAgain(batch: EventWriterOptions & { events: readonly NewEvent[] }): Promise<void> {
    const { store, sessionId, attempt } = this.#o
    await store.db.transaction().execute(async (trx) => {
      const held = await sql`
        select from sessions where id = ${sessionId} and attempt = ${attempt} for update`.execute(
        trx,
      )
      if (held.rows.length === 0) throw new LeaseLost(sessionId, attempt)
      const stored = await trx
        .selectFrom('events')
        .select('seq')
        .where('session_id', '=', sessionId)
        .where('id', '=', batch.events[0]?.id ?? '')
        .where('attempt', '=', attempt)
        .executeTakeFirst()
      if (stored === undefined) await appendEvents(trx, batch)
    })
  }
}
