import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { z } from 'zod'
import type { Clock, Timer } from '../clock.ts'
import type { Log } from '../log.ts'
import { Listener } from '../store/listen.ts'
import type { Store } from '../store/open.ts'
import type { NewEvent } from './append.ts'

const channel = 'longhaul_deltas'
/** Deltas are gathered this long: at most 10 notifying commits a second and process. */
const batchMs = 100
/** Of one batch, of all sessions; beyond them they are dropped, for the events themselves will come. */
const batchMax = 256
/** PostgreSQL's limit is 8000 bytes; a larger delta is dropped. */
const payloadBytesMax = 7900
/** Between two words of a process that it has readers, and how long such a word counts. */
const wantMs = 10_000
const wantedMs = 25_000
/** Sessions that readers elsewhere want; beyond them nobody new is heard. */
const wantedMax = 10_000

/** Whose readers want a session's deltas; or a delta, from the process that makes it. */
const note = z.union([
  z.object({ from: z.string(), want: z.array(z.string()) }),
  z.object({ from: z.string(), of: z.string(), event: z.looseObject({ type: z.string() }) }),
])

/**
 * Carries deltas to readers in other processes, by notifications alone: nothing is stored, and what gets
 * lost is only a preview. A process sends those of a session only while another has said that it
 * has readers for them.
 */
export class FarDeltas implements AsyncDisposable {
  readonly #o: {
    readonly store: Store
    readonly log: Log
    readonly clock: Clock
    readonly onDelta: (sessionId: string, event: NewEvent) => void
  }
  /** This process, among those of the database. */
  readonly #self = randomUUID()
  /** Readers here, by session. */
  readonly #readers = new Map<string, number>()
  /** Until when readers elsewhere want a session's. */
  readonly #wanted = new Map<string, number>()
  #batch: string[] = []
  #flush: Timer | undefined
  #want: Timer | undefined
  #sending: Promise<void> = Promise.resolve()
  #listener: Listener | undefined

  static async open(o: {
    readonly store: Store
    readonly log: Log
    readonly clock: Clock
    readonly onDelta: (sessionId: string, event: NewEvent) => void
  }): Promise<FarDeltas> {
    const far = new FarDeltas(o)
    far.#listener = await Listener.open({ ...o, channel, onHint: (text) => far.#hear(text) })
    return far
  }

  private constructor(o: {
    readonly store: Store
    readonly log: Log
    readonly clock: Clock
    readonly onDelta: (sessionId: string, event: NewEvent) => void
  }) {
    this.#o = o
  }

  /** Has other processes send a session's deltas here, until it is disposed of. */
  want(sessionId: string): Disposable {
    this.#readers.set(sessionId, (this.#readers.get(sessionId) ?? 0) + 1)
    this.#say([sessionId])
    this.#want ??= this.#o.clock.after(wantMs, () => this.#sayAgain())
    return {
      [Symbol.dispose]: () => {
        const left = (this.#readers.get(sessionId) ?? 0) - 1
        if (left > 0) this.#readers.set(sessionId, left)
        else this.#readers.delete(sessionId)
      },
    }
  }

  /** Costs nothing while nobody elsewhere reads the session. */
  send(sessionId: string, event: NewEvent): void {
    const until = this.#wanted.get(sessionId)
    if (until === undefined) return
    if (until < this.#o.clock.now()) this.#wanted.delete(sessionId)
    else this.#put({ from: this.#self, of: sessionId, event })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#want?.cancel()
    this.#flush?.cancel()
    await this.#listener?.[Symbol.asyncDispose]()
    await this.#sending
  }

  #sayAgain(): void {
    this.#want = undefined
    if (this.#readers.size === 0) return
    this.#say([...this.#readers.keys()])
    this.#want = this.#o.clock.after(wantMs, () => this.#sayAgain())
  }

  #say(sessionIds: readonly string[]): void {
    // As many as fit into one notification.
    for (let at = 0; at < sessionIds.length; at += 100)
      this.#put({ from: this.#self, want: sessionIds.slice(at, at + 100) })
  }

  #put(said: z.input<typeof note>): void {
    const text = JSON.stringify(said)
    if (this.#batch.length >= batchMax || Buffer.byteLength(text) > payloadBytesMax) return
    this.#batch.push(text)
    this.#flush ??= this.#o.clock.after(batchMs, () => {
      this.#flush = undefined
      this.#sending = this.#sending.then(() => this.#notify())
    })
  }

  async #notify(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    if (batch.length === 0) return
    try {
      // In the order of the array: a notification is sent for each row.
      await sql`select pg_notify(${channel}, text)
        from unnest(${batch}::text[]) with ordinality as said (text, n) order by n`.execute(
        this.#o.store.db,
      )
    } catch (error) {
      this.#o.log.debug({ err: error }, 'deltas did not leave')
    }
  }

  #hear(text: string | null): void {
    if (text === null) return
    const said = note.safeParse(parseJson(text)).data
    if (said === undefined || said.from === this.#self) return
    if ('of' in said) {
      this.#o.onDelta(said.of, said.event)
      return
    }
    const until = this.#o.clock.now() + wantedMs
    for (const sessionId of said.want)
      if (this.#wanted.size < wantedMax || this.#wanted.has(sessionId))
        this.#wanted.set(sessionId, until)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
