import type { Clock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import type { Lookup } from '../gateway/resolve.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import {
  type ClaimedDelivery,
  claimDeliveries,
  claimMs,
  nextDeliveryAt,
  sentOnce,
  updateDelivery,
} from '../store/deliveries.ts'
import { insertTry, removeSettled } from '../store/delivery-log.ts'
import { getEndpoint } from '../store/endpoints.ts'
import type { Store } from '../store/open.ts'
import type { DeliveryRow, EndpointRow } from '../store/tables.ts'
import { OutboxDates } from './dates.ts'
import { judgeEndpoint } from './failing.ts'
import { type PostOutcome, post } from './post.ts'
import { secretsOf, signedHeaders } from './signature.ts'
import { judge, type Verdict } from './verdict.ts'

export interface DeliverySenderOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Of callbacks: `whsec_…`, as Standard Webhooks writes secrets. Endpoints have their own. */
  readonly secrets: readonly string[]
  /** Receivers that may be private and may speak plain http: CALLBACK_ALLOW. */
  readonly allow: readonly HostPort[]
  /** Milliseconds that one try may take, resolving included. */
  readonly fetchTimeoutMs?: number
  readonly lookup?: Lookup
}

const defaultTimeoutMs = 15_000
/**
 * Tries under way at once; those to one endpoint, or of the callbacks to one origin, so that a slow one leaves
 * room; and those to one origin, whatever leads there, so that a slow host with many endpoints does, too.
 */
const inFlightMax = 20
const perEndpointMax = 4
const perOriginMax = 6
/** A lost hint keeps nothing back for longer. */
const pollMsMax = 10_000
/** After a failure of the store, and while another node holds what is due. */
const pollMsMin = 250
/** How long deliveries to endpoints are kept once they are settled, and how often old ones are removed. */
const keptMs = 30 * 24 * 3_600_000
const sweepMs = 600_000

/**
 * Sends the outbox: rows that were written in the transaction they tell about. A try is claimed in
 * the store before it is made, so a crash repeats one and loses none; receivers tell repeats by
 * `webhook-id`. Several senders, on as many nodes, share one outbox, and keep the order of its lanes.
 */
export class DeliverySender implements AsyncDisposable {
  readonly #o: DeliverySenderOptions
  readonly #stop = new AbortController()
  readonly #dates: OutboxDates
  readonly #inFlight = new Map<ClaimedDelivery, Promise<void>>()
  #wake = new AbortController()
  #poked = false
  #sweptAt = 0
  #running: Promise<void> = Promise.resolve()

  constructor(o: DeliverySenderOptions) {
    this.#o = o
    this.#dates = new OutboxDates(o)
  }

  /** Begins to send, and goes on until disposal. */
  start(): void {
    this.#running = this.#run()
  }

  /** Of a process that leaves the sending to others: the dates of what it writes are its own to move. */
  keepDates(): void {
    this.#running = this.#follow()
  }

  /** Says that something may be due: it leaves at once. */
  poke(): void {
    this.#poked = true
    this.#wake.abort()
  }

  /** Breaks off what is under way, to be tried again by the next sender, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wake.abort()
    await this.#running
    await Promise.all(this.#inFlight.values())
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const movedMs = await this.#dates.follow()
        const claimed = await this.#claim()
        for (const row of claimed) this.#begin(row, movedMs)
        if (claimed.length === 0) await this.#rest()
      } catch (error) {
        this.#o.log.warn({ err: error }, 'the outbox could not be read')
        await this.#sleep(pollMsMax)
      }
    }
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#dates
        .follow()
        .catch((err: unknown) => this.#o.log.warn({ err }, 'the outbox could not be read'))
      await this.#sleep(pollMsMax)
    }
  }

  #claim(): Promise<ClaimedDelivery[]> {
    const limit = inFlightMax - this.#inFlight.size
    if (limit <= 0) return Promise.resolve([])
    const now = this.#o.clock.now()
    return claimDeliveries(this.#o.store.db, {
      now: new Date(now),
      until: new Date(now + claimMs),
      ...{ limit, perEndpoint: perEndpointMax, perOrigin: perOriginMax },
      underWay: [...this.#inFlight.keys()].map(({ receiver }) => receiver),
      node: this.#o.store.node,
    })
  }

  #begin(row: ClaimedDelivery, movedMs: number): void {
    const ended = this.#send(row, movedMs)
      .catch((error: unknown) => {
        const about = { delivery: row.id, task: row.task_id, tries: row.tries }
        this.#o.log.warn({ err: error, ...about }, 'the end of a delivery could not be stored')
      })
      .then(() => {
        this.#inFlight.delete(row)
        // There is room again, and what waited behind it in its lane may go.
        this.poke()
      })
    this.#inFlight.set(row, ended)
  }

  /**
   * One try, and what became of it; its row was read when the dates had been moved by so much. Rejects
   * when the store does not answer.
   */
  async #send(row: DeliveryRow, movedMs: number): Promise<void> {
    const { clock, store } = this.#o
    const endpoint = row.endpoint_id === null ? null : await getEndpoint(store.db, row.endpoint_id)
    // It was deleted meanwhile, and everything for it.
    if (endpoint === undefined) return
    const refused = refusalOf(row, endpoint)
    if (refused !== null) return this.#giveUp(row, refused)
    const [startedAt, began] = [clock.now(), clock.elapsed()]
    // It stood still meanwhile: another sender has it, and may be further in its lane.
    if (startedAt + this.#tryMsMax >= (row.next_try_at?.getTime() ?? 0)) return
    const secrets = endpoint === null ? this.#o.secrets : secretsOf(endpoint, startedAt)
    const headers = signedHeaders(row, { secrets, now: startedAt })
    const outcome = await this.#post(row, headers)
    // A try that the stop of the server broke off does not count.
    if (this.#stop.signal.aborted && outcome.kind === 'failed') {
      const patch = { tries: row.tries - 1, nextTryAt: new Date(clock.now()) }
      await updateDelivery(store.db, row.id, patch)
      return
    }
    const durationMs = clock.elapsed() - began
    const stepMs = (await this.#dates.follow()) - movedMs
    const queuedAt = row.queued_at.getTime() + (row.queued_by === store.node ? stepMs : 0)
    const verdict = judge({ ...row, queued_at: new Date(queuedAt) }, outcome, clock.now())
    const made = { outcome, headers, startedAt, durationMs }
    const isGivenUp = await this.#store(row, { verdict, ...made })
    this.#count(row, verdict)
    if (isGivenUp)
      this.#o.log.warn({ endpoint: row.endpoint_id }, 'nothing arrived for days: it was disabled')
  }

  async #giveUp(row: DeliveryRow, lastError: string): Promise<void> {
    const patch = { gaveUpAt: new Date(this.#o.clock.now()), nextTryAt: null, lastError }
    const stored = await updateDelivery(this.#o.store.db, row.id, patch)
    if (stored) this.#count(row, { outcome: 'dead', patch, gone: false })
  }

  get #tryMsMax(): number {
    return this.#o.fetchTimeoutMs ?? defaultTimeoutMs
  }

  async #post(row: DeliveryRow, headers: Readonly<Record<string, string>>): Promise<PostOutcome> {
    const { clock, allow, lookup } = this.#o
    const fetchTimeoutMs = this.#tryMsMax
    const limit = new AbortController()
    const stop = (): void => limit.abort(new Error('the server is stopping'))
    this.#stop.signal.addEventListener('abort', stop, { once: true })
    if (this.#stop.signal.aborted) stop()
    using _timer = clock.after(fetchTimeoutMs, () =>
      limit.abort(new Error(`no answer within ${fetchTimeoutMs} ms`)),
    )
    try {
      const { url, body } = row
      const signal = limit.signal
      return await post({ url, body, headers, allow, signal, ...(lookup && { lookup }) })
    } finally {
      this.#stop.signal.removeEventListener('abort', stop)
    }
  }

  /**
   * The end of a try, with its entry in the log; a receiver that is gone is told nothing more, nor one
   * that has failed for too long, which is true then.
   */
  #store(
    row: DeliveryRow,
    o: {
      readonly verdict: Verdict
      readonly outcome: PostOutcome
      readonly headers: Readonly<Record<string, string>>
      readonly startedAt: number
      readonly durationMs: number
    },
  ): Promise<boolean> {
    const { clock, store } = this.#o
    const { verdict, outcome, headers, startedAt, durationMs } = o
    const now = new Date(clock.now())
    return store.db.transaction().execute(async (trx) => {
      const about = { event: row.type, verdict, now }
      const isGivenUp =
        row.endpoint_id !== null && (await judgeEndpoint(trx, { id: row.endpoint_id, ...about }))
      await updateDelivery(trx, row.id, verdict.patch)
      await insertTry(trx, {
        deliveryId: row.id,
        startedAt: new Date(startedAt),
        durationMs,
        requestHeaders: headers,
        answer: outcome.kind === 'answered' ? outcome : null,
        error: verdict.patch.lastError ?? null,
      })
      return isGivenUp
    })
  }

  #count(row: DeliveryRow, { outcome, patch }: Verdict): void {
    this.#o.metrics.deliveries.inc({ event: row.type, outcome })
    const about = { delivery: row.id, task: row.task_id, tries: row.tries, outcome }
    const { lastStatus: status, lastError: error } = patch
    this.#o.log.info({ ...about, ...(status ? { status } : { error }) }, 'delivery')
  }

  /** Waits for the next due delivery, or for a poke. */
  async #rest(): Promise<void> {
    const { store, clock } = this.#o
    await this.#sweep()
    const isFull = this.#inFlight.size >= inFlightMax
    const next = isFull ? null : await nextDeliveryAt(store.db)
    const ms = next === null ? pollMsMax : next.getTime() - clock.now()
    if (!this.#poked) await this.#sleep(Math.max(pollMsMin, Math.min(ms, pollMsMax)))
    this.#poked = false
  }

  async #sweep(): Promise<void> {
    const now = this.#o.clock.now()
    if (now - this.#sweptAt < sweepMs) return
    this.#sweptAt = now
    await removeSettled(this.#o.store.db, new Date(now - keptMs))
  }

  async #sleep(ms: number): Promise<void> {
    this.#wake = new AbortController()
    if (this.#stop.signal.aborted) return
    // Rejects when it is woken, which is no error.
    await this.#o.clock.sleep(ms, this.#wake.signal).catch(() => undefined)
  }
}

/** Why it is not sent after all; null: it is. */
function refusalOf(row: DeliveryRow, endpoint: EndpointRow | null): string | null {
  if (endpoint !== null && endpoint.disabled_at !== null) return 'the endpoint was disabled'
  return sentOnce.includes(row.type) && row.tries > 1
    ? 'its sender was cut off, and it is sent once'
    : null
}
