import type { Clock } from '../clock.ts'
import type { Metrics } from '../metrics.ts'

/** Limited answers in a row after which nobody asks any more; fewer are a busy moment. */
const limitedMax = 3
/** How long nobody asks where the provider does not say, doubled at each failure up to the most. */
const pauseMs = { first: 15_000, max: 5 * 60_000 } as const
/** One request finds out this often whether the provider is back before it said: a limit was raised. */
const lookMs = 15 * 60_000
/** While one request finds out whether it is over, the others come again after this. */
const probeMs = 5_000

/** Whether a request may go to the provider; or until when not, in epoch milliseconds. */
type Passage = { readonly kind: 'open' } | ({ readonly kind: 'closed' } & Until)

interface Until {
  readonly until: number
  /** The provider named that moment, and no time to wait. */
  readonly isDate: boolean
}

/**
 * Stops the herd: when a provider that says "not now" was heard often enough, no session of this
 * process asks it before it will answer again, and then one does first. One for each credential of a
 * process; it needs no sharing, since each process learns the same within a few requests.
 */
export class Breaker {
  readonly #clock: Clock
  readonly #metrics: Metrics
  #limited = 0
  #pauses = 0
  /** As `Clock.elapsed` counts, so that a date which is set keeps nobody out; 0: everybody may ask. */
  #until = 0
  /** The moment that the provider named for it, in epoch milliseconds: it comes while the machine sleeps, too. */
  #date: number | null = null
  /** From when one finds out whether it is over already. */
  #lookAt = 0
  #probing = false

  constructor({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#clock = clock
    this.#metrics = metrics
  }

  /** Until when nobody asks, in epoch milliseconds; null: everybody may. */
  get closedUntil(): number | null {
    return this.#leftMs > 0 ? this.#closed(0).until : null
  }

  /** Asks for passage; who gets it tells by `limited`, `answered` or `missed` what came of it. */
  ask(): Passage {
    const passage = this.look()
    if (passage.kind === 'open' && this.#until !== 0) this.#probing = true
    return passage
  }

  /** Whether who asked now would get passage; nobody waits for what comes of it. */
  look(): Passage {
    if (this.#until === 0) return { kind: 'open' }
    if (this.#clock.elapsed() < this.#lookAt && this.#leftMs > 0) return this.#closed(0)
    return this.#probing ? this.#closed(probeMs) : { kind: 'open' }
  }

  /** A limited answer; `reset`: when the provider will answer again, if it said so; `isDate`: it named that moment. */
  limited(reset: number | null, isDate = false): void {
    const now = this.#clock.elapsed()
    this.#probing = false
    this.#limited += 1
    if (this.#limited < limitedMax && this.#until === 0) return
    const pause = Math.min(pauseMs.first * 2 ** this.#pauses, pauseMs.max)
    this.#pauses += 1
    const pauseLeft = reset === null ? pause : reset - this.#clock.now()
    if (now + pauseLeft >= this.#until) this.#date = isDate ? reset : null
    this.#until = Math.max(now + pauseLeft, this.#until)
    this.#lookAt = Math.min(this.#until, now + lookMs)
    this.#metrics.modelBreaker.set(1)
  }

  /** Any other answer: the provider is back. */
  answered(): void {
    if (this.#until === 0 && this.#limited === 0) return
    this.#limited = 0
    this.#pauses = 0
    this.#until = 0
    this.#date = null
    this.#probing = false
    this.#metrics.modelBreaker.set(0)
  }

  /** No answer came at all, which says nothing: the next one may find out. */
  missed(): void {
    this.#probing = false
  }

  /** The shorter of both: a date that is set keeps nobody out, and neither does a sleep. */
  get #leftMs(): number {
    const left = this.#until - this.#clock.elapsed()
    return this.#date === null ? left : Math.min(left, this.#date - this.#clock.now())
  }

  #closed(msMin: number): { readonly kind: 'closed' } & Until {
    const left = this.#leftMs
    if (this.#date !== null && left > msMin)
      return { kind: 'closed', until: this.#date, isDate: true }
    const until = Math.round(this.#clock.now() + Math.max(left, msMin))
    return { kind: 'closed', until, isDate: false }
  }
}
