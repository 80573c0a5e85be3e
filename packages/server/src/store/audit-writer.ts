import { randomBytes } from 'node:crypto'
import type { Clock, Timer } from '../clock.ts'
import { newId } from '../ids.ts'
import type { Log } from '../log.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { auditHash, insertAudit, type NewAuditRow, noHash } from './audit.ts'
import type { Store } from './open.ts'
import type { JsonObject } from './tables.ts'
import { toJson } from './values.ts'

/** Something that was decided. */
export interface NewAudit {
  /** Null: no session's. */
  readonly sessionId: string | null
  /** What decided: `gateway`. */
  readonly kind: string
  /** Bounded by whoever decided. */
  readonly entry: JsonObject
}

/** Entries are gathered this long. */
const batchMs = 100
const batchRowsMax = 200
/** Between two tries while the database is away. */
const retryMs = 500
/** Entries that wait longer than this, or more of them: nothing new may be decided meanwhile. */
const behindMs = 10_000
const behindRows = 5_000
/** What waits when the writer is disposed of gets this long. */
const drainMsMax = 10_000

/**
 * Appends audit entries after the fact, in the order in which they were given, as one hash chain: a
 * writer is one start of the server on one node. Nobody waits for it; whoever decides asks
 * `isBehind` first, so what waits while the database is away is bounded by what was under way then.
 * Disposing stores what waits; a crash takes the entries of the last moment with it.
 */
export class AuditWriter implements AsyncDisposable {
  readonly #store: Pick<Store, 'db'>
  readonly #clock: Clock
  readonly #log: Log
  readonly #scrubber: Scrubber
  readonly #writer: string
  #seq = 0
  #hash = noHash
  readonly #waiting: NewAuditRow[] = []
  #timer: Timer | undefined
  #storing: Promise<void> | undefined
  readonly #late = new AbortController()

  /** `scrubber`: takes secrets out of every entry; absent: none is known. */
  constructor(o: {
    store: Pick<Store, 'db' | 'node'>
    clock: Clock
    log: Log
    scrubber?: Scrubber
  }) {
    this.#store = o.store
    this.#clock = o.clock
    this.#log = o.log
    this.#scrubber = o.scrubber ?? new Scrubber([])
    const start = new Date(o.clock.now()).toISOString()
    this.#writer = `${o.store.node}/${start}/${randomBytes(4).toString('hex')}`
  }

  /** True: the database has been away, or too slow, for too long. */
  get isBehind(): boolean {
    const oldest = this.#waiting[0]
    if (oldest === undefined) return false
    const waitedMs = this.#clock.now() - oldest.at.getTime()
    return waitedMs > behindMs || this.#waiting.length > behindRows
  }

  /** Takes an entry; never throws, never waits. */
  append({ sessionId, kind, entry }: NewAudit): void {
    const row = {
      id: newId('audit', this.#clock),
      writer: this.#writer,
      seq: this.#seq + 1,
      prev_hash: this.#hash,
      at: new Date(this.#clock.now()),
      session_id: sessionId,
      kind,
      // As the store will give it back: the hash is of what can be read.
      entry: JSON.parse(toJson(this.#scrubber.value(entry))),
    }
    this.#seq = row.seq
    this.#hash = auditHash(row)
    this.#waiting.push({ ...row, hash: this.#hash })
    if (this.#waiting.length >= batchRowsMax) this.#start()
    else this.#timer ??= this.#clock.after(batchMs, () => this.#start())
  }

  /** Resolves once what was appended is stored, or when the writer gave up after its disposal. */
  async flush(): Promise<void> {
    this.#start()
    await this.#storing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _limit = this.#clock.after(drainMsMax, () =>
      this.#late.abort(new Error('the audit was not stored in time')),
    )
    await this.flush()
    const lost = this.#waiting.length
    if (lost > 0) this.#log.error({ entries: lost }, 'audit entries were lost')
  }

  #start(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined
    })
  }

  /** Never rejects. A database that refuses is asked again: nothing else may be decided until then. */
  async #storeAll(): Promise<void> {
    for (let tries = 0; this.#waiting.length > 0 && !this.#late.signal.aborted; ) {
      const batch = this.#waiting.slice(0, batchRowsMax)
      try {
        await insertAudit(this.#store.db, batch)
        this.#waiting.splice(0, batch.length)
        tries = 0
      } catch (error) {
        if (tries === 0) this.#log.error({ err: error }, 'the audit cannot be written')
        tries += 1
        await this.#clock.sleep(retryMs, this.#late.signal).catch(() => {}) // Closing: the loop ends.
      }
    }
  }
}
