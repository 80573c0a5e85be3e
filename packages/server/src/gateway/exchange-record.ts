import { addedUp } from './decision-lane.ts'
import type { Decisions } from './decisions.ts'
import { excerpt } from './excerpt.ts'
import type { Decision, Denial, Route } from './policy.ts'

/** Characters that an entry keeps of a text which the sandbox had a say in. */
const textCharsMax = 1_000
/** What such a list of texts keeps. */
const listMax = 16

/** Where something was let out to, and what tells it apart. */
export interface WayOut {
  readonly route: Route
  readonly host: string
  readonly port: number
  readonly details?: Readonly<Record<string, string | number | readonly string[] | null>>
}

/**
 * What becomes of one request or tunnel, from its first byte to its last. It is told once: a denial
 * at once, everything else when `end` is called, with the bytes by then. Whatever a route forgets to
 * say counts as denied.
 */
export class ExchangeRecord {
  readonly #decisions: Decisions
  #way: WayOut = { route: 'gateway', host: '', port: 0 }
  #verdict: Decision['verdict'] = 'denied'
  #why: string | null = 'It ended before anything was decided.'
  #sums: Decision['sums'] = {}
  #told = false
  #entered: string | null = null

  constructor(decisions: Decisions) {
    this.#decisions = decisions
  }

  /** Whether the audit can still name this way by itself; see `Decisions.enters`. */
  enters({ route, host, port }: WayOut): boolean {
    const way = `${route} ${host}:${port}`
    if (!this.#decisions.enters(way)) return false
    this.#entered = way
    return true
  }

  allowed(way: WayOut): void {
    this.#way = way
    this.#verdict = 'allowed'
    this.#why = null
  }

  /** Somebody tried a way out that the policy does not grant. */
  denied(denial: Denial, details: WayOut['details'] = {}): void {
    this.#refuse(denial, details)
    this.#tell(true)
  }

  /** It was refused for what it is, not for where it wants to go. */
  refused(denial: Denial, details: WayOut['details'] = {}): void {
    this.#refuse(denial, details)
  }

  adds(sums: Decision['sums']): void {
    this.#sums = addedUp(this.#sums, sums)
  }

  end(): void {
    this.#tell(false)
  }

  #refuse({ route, host, port, why }: Denial, details: WayOut['details'] = {}): void {
    this.#way = { route, host, port, details: { ...this.#way.details, ...details } }
    this.#verdict = 'denied'
    this.#why = why
  }

  #tell(isWayOut: boolean): void {
    if (this.#told) return
    const { route, host, port, details = {} } = this.#way
    this.#told = true
    if (this.#entered !== null) this.#decisions.leaves(this.#entered)
    const decision = {
      ...{ route, port, isWayOut, verdict: this.#verdict, sums: this.#sums, count: 1 },
      host: bounded(host),
      why: this.#why === null ? null : bounded(this.#why),
      details: Object.fromEntries(
        Object.entries(details).map(([name, value]) => [name, boundedValue(value)]),
      ),
    }
    this.#decisions.record(decision, this.#entered)
  }
}

function boundedValue(value: NonNullable<WayOut['details']>[string]) {
  if (typeof value === 'string') return bounded(value)
  if (typeof value === 'number' || value === null) return value
  return value.slice(0, listMax).map(bounded)
}

function bounded(text: string): string {
  return excerpt(text, textCharsMax)
}
