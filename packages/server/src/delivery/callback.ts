import { Webhook } from 'standardwebhooks'
import type { Clock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import type { Lookup } from '../gateway/resolve.ts'
import type { Log } from '../log.ts'
import {
  type DeliveryPatch,
  dueDeliveries,
  nextDeliveryAt,
  updateDelivery,
} from '../store/deliveries.ts'
import type { Store } from '../store/open.ts'
import type { DeliveryRow } from '../store/tables.ts'
import { type PostOutcome, post } from './post.ts'
import { nextTryAt } from './retries.ts'

export interface CallbackSenderOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** `whsec_…`, as Standard Webhooks writes secrets. */
  readonly secret: string
  /** Receivers that may be private and may speak plain http: CALLBACK_ALLOW. */
  readonly allow: readonly HostPort[]
  /** Milliseconds that one try may take, resolving included. */
  readonly fetchTimeoutMs?: number
  readonly lookup?: Lookup
}

const defaultTimeoutMs = 15_000
/** Deliveries sent at once. */
const batchMax = 10
/** A claimed delivery is due again after this: its sender is dead by then. */
const claimMs = 60_000
/** Another node's deliveries come without a poke. */
const pollMsMax = 10_000
/** After a failure of the store, and while another node holds what is due. */
const pollMsMin = 250

/**
 * Sends the outbox: rows that were written in the transaction they tell about. A try is claimed in
 * the store before it is made, so a crash repeats one and loses none; receivers tell repeats by
 * `webhook-id`. Several senders, on as many nodes, share one outbox.
 */
export class CallbackSender implements AsyncDisposable {
  readonly #o: CallbackSenderOptions
  readonly #webhook: Webhook
  readonly #stop = new AbortController()
  #wake = new AbortController()
  #poked = false
  #running: Promise<void> = Promise.resolve()

  constructor(o: CallbackSenderOptions) {
    this.#o = o
    this.#webhook = new Webhook(o.secret)
  }

  /** Begins to send, and goes on until disposal. */
  start(): void {
    this.#running = this.#run()
  }

  /** Says that a delivery was just written: it leaves at once. */
  poke(): void {
    this.#poked = true
    this.#wake.abort()
  }

  /** Breaks off what is under way, to be tried again by the next sender, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wake.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const claimed = await this.#claim()
        await Promise.all(claimed.map((row) => this.#send(row)))
        if (claimed.length < batchMax) await this.#rest()
      } catch (error) {
        this.#o.log.warn({ err: error }, 'the outbox could not be read')
        await this.#sleep(pollMsMax)
      }
    }
  }

  async #claim(): Promise<DeliveryRow[]> {
    const now = this.#o.clock.now()
    return this.#o.store.db.transaction().execute(async (trx) => {
      const rows = await dueDeliveries(trx, new Date(now), batchMax)
      for (const { id, tries } of rows)
        await updateDelivery(trx, id, { tries: tries + 1, nextTryAt: new Date(now + claimMs) })
      return rows.map((row) => ({ ...row, tries: row.tries + 1 }))
    })
  }

  /** One try, and what became of it; never rejects. */
  async #send(row: DeliveryRow): Promise<void> {
    const { clock, log, store } = this.#o
    const outcome = await this.#post(row)
    // A try that the stop of the server broke off does not count.
    const patch =
      this.#stop.signal.aborted && outcome.kind === 'failed'
        ? { tries: row.tries - 1, nextTryAt: new Date(clock.now()) }
        : this.#judge(row, outcome)
    const about = { delivery: row.id, task: row.task_id, tries: row.tries }
    try {
      await updateDelivery(store.db, row.id, patch)
      log.info({ ...about, ...logged(outcome, patch) }, 'callback')
    } catch (error) {
      log.warn({ err: error, ...about }, 'the end of a callback could not be stored')
    }
  }

  async #post(row: DeliveryRow): Promise<PostOutcome> {
    const { clock, allow, lookup, fetchTimeoutMs = defaultTimeoutMs } = this.#o
    const limit = new AbortController()
    const stop = (): void => limit.abort(new Error('the server is stopping'))
    this.#stop.signal.addEventListener('abort', stop, { once: true })
    if (this.#stop.signal.aborted) stop()
    using _timer = clock.after(fetchTimeoutMs, () =>
      limit.abort(new Error(`no answer within ${fetchTimeoutMs} ms`)),
    )
    try {
      const { url, body } = row
      const headers = this.#headersOf(row)
      const signal = limit.signal
      return await post({ url, body, headers, allow, signal, ...(lookup && { lookup }) })
    } finally {
      this.#stop.signal.removeEventListener('abort', stop)
    }
  }

  #headersOf(row: DeliveryRow): Record<string, string> {
    const now = new Date(this.#o.clock.now())
    return {
      'content-type': 'application/json',
      'user-agent': 'longhaul',
      'webhook-id': row.id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': this.#webhook.sign(row.id, now, row.body),
    }
  }

  /** Any 2xx is a delivery; 410 wants no more; everything else, redirects too, is tried again. */
  #judge(row: DeliveryRow, outcome: PostOutcome): DeliveryPatch {
    const now = this.#o.clock.now()
    const lastStatus = outcome.kind === 'answered' ? outcome.status : null
    if (lastStatus !== null && lastStatus >= 200 && lastStatus < 300)
      return { deliveredAt: new Date(now), nextTryAt: null, lastStatus, lastError: null }
    const lastError = errorOf(outcome)
    const createdAt = row.created_at.getTime()
    const at = lastStatus === 410 ? null : nextTryAt({ tries: row.tries, createdAt, now })
    return at === null
      ? { gaveUpAt: new Date(now), nextTryAt: null, lastStatus, lastError }
      : { nextTryAt: new Date(at), lastStatus, lastError }
  }

  /** Waits for the next due delivery, or for a poke. */
  async #rest(): Promise<void> {
    const { store, clock } = this.#o
    const next = await nextDeliveryAt(store.db)
    const ms = next === null ? pollMsMax : next.getTime() - clock.now()
    if (!this.#poked) await this.#sleep(Math.max(pollMsMin, Math.min(ms, pollMsMax)))
    this.#poked = false
  }

  async #sleep(ms: number): Promise<void> {
    this.#wake = new AbortController()
    if (this.#stop.signal.aborted) return
    // Rejects when it is woken, which is no error.
    await this.#o.clock.sleep(ms, this.#wake.signal).catch(() => undefined)
  }
}

function errorOf(outcome: PostOutcome): string {
  if (outcome.kind === 'failed') return outcome.message
  if (outcome.status >= 300 && outcome.status < 400)
    return `HTTP ${outcome.status}: redirects are not followed`
  return `HTTP ${outcome.status}: ${outcome.body}`.trim()
}

function logged(outcome: PostOutcome, patch: DeliveryPatch) {
  return {
    ...(outcome.kind === 'answered' ? { status: outcome.status } : { error: outcome.message }),
    outcome: patch.deliveredAt ? 'delivered' : patch.gaveUpAt ? 'given_up' : 'retry',
  }
}
