import type { Clock, Timer } from '../clock.ts'
import type { Decision, GatewayHooks } from './policy.ts'

/** Equal decisions of one window are told apart only up to here; the others are added up. */
const windowMs = 60_000
const equalMax = { allowed: 30, denied: 1 }
/** Different ones that are told apart; the others are one, of the host `*`. */
const differentMax = { allowed: 200, denied: 60 }

/**
 * Tells the owner what was decided, each at once; of a loop, what is beyond the bounds is told as
 * one with a count, at the end of the minute or when the gateway closes. So what a minute of any
 * session can make is bounded, nothing is left out, and the counts add up.
 */
export class Decisions implements Disposable {
  readonly #o: { readonly hooks: GatewayHooks; readonly clock: Clock }
  #seen = new Map<string, number>()
  #different = { allowed: 0, denied: 0 }
  #gathered = new Map<string, Decision>()
  #timer: Timer | undefined
  #closed = false

  constructor(o: { hooks: GatewayHooks; clock: Clock }) {
    this.#o = o
  }

  record(given: Decision): void {
    if (this.#closed) this.#tell(given)
    else this.#sift(given)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#end()
  }

  #sift(given: Decision): void {
    this.#timer ??= this.#o.clock.after(windowMs, () => this.#end())
    const decision = this.#isKnown(given) ? given : together(given)
    const key = keyOf(decision)
    const seen = (this.#seen.get(key) ?? 0) + decision.count
    this.#seen.set(key, seen)
    const before = this.#gathered.get(key)
    if (decision === given && seen <= equalMax[decision.verdict]) this.#tell(decision)
    else this.#gathered.set(key, before === undefined ? decision : sumOf(before, decision))
  }

  /** Whether it is one of those that are told apart in this window. */
  #isKnown(decision: Decision): boolean {
    const { verdict } = decision
    if (this.#seen.has(keyOf(decision))) return true
    this.#different[verdict] += 1
    return this.#different[verdict] <= differentMax[verdict]
  }

  #end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const gathered = this.#gathered
    this.#gathered = new Map()
    this.#seen = new Map()
    this.#different = { allowed: 0, denied: 0 }
    for (const decision of gathered.values()) this.#tell(decision)
  }

  #tell(decision: Decision): void {
    const { hooks } = this.#o
    hooks.onDecision(decision)
    const { host, port, route, why, count } = decision
    if (decision.isWayOut && why !== null) hooks.onDenied({ host, port, route, why, count })
  }
}

function keyOf({ route, host, port, verdict, why, details, isWayOut }: Decision): string {
  return JSON.stringify([route, host, port, verdict, why, details, isWayOut])
}

function together({ route, verdict, count, sums, isWayOut }: Decision): Decision {
  const why =
    verdict === 'denied' ? 'Too many different ones in a minute; these are the rest.' : null
  return { route, verdict, count, sums, isWayOut, host: '*', port: 0, why, details: {} }
}

function sumOf(a: Decision, b: Decision): Decision {
  return { ...a, count: a.count + b.count, sums: addedUp(a.sums, b.sums) }
}

/** Numbers of the same name, added. */
export function addedUp(a: Decision['sums'], b: Decision['sums']): Decision['sums'] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]))
}
