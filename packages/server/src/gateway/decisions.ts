import type { Clock, Timer } from '../clock.ts'
import { kindOf } from './decision-kind.ts'
import { boundsOf, DecisionLane } from './decision-lane.ts'
import type { Decision, GatewayHooks } from './policy.ts'

const windowMs = 60_000
/** Of ways by `CONNECT` or plain HTTP, in a window: as many as their lane tells apart, so each is named. */
const waysMax = 200

/**
 * Tells the owner what was decided, each at once; of a loop, what is beyond the bounds of its lane
 * is told as one with a count, at the end of the minute or when the gateway closes. So what a minute
 * of any session can make is bounded (docs/audit.md has the sum), nothing is left out, the counts
 * add up, and a flood of one sort hides nothing of another.
 */
export class Decisions implements Disposable {
  readonly #o: { readonly hooks: GatewayHooks; readonly clock: Clock }
  /** One a route, verdict and kind: few, whatever the sandbox does. */
  #lanes = new Map<string, DecisionLane>()
  /** Where something goes at this moment, by how many. */
  readonly #open = new Map<string, number>()
  /** Where something went in this window, whatever came of it. */
  #gone = new Set<string>()
  /** Those of them that were denied in the end. */
  #denied = new Set<string>()
  #timer: Timer | undefined
  #closed = false

  constructor(o: { hooks: GatewayHooks; clock: Clock }) {
    this.#o = o
  }

  /**
   * Whether something may go to one more host and port: what is open and what was told in this window
   * are counted together, since all that is open may end in it. Whoever is let in calls `leaves`, and
   * names the way with what is recorded of it.
   */
  enters(way: string): boolean {
    const isKnown = this.#open.has(way) || this.#gone.has(way)
    const known = new Set([...this.#open.keys(), ...this.#gone])
    if (!isKnown && known.size >= waysMax) return false
    this.#open.set(way, (this.#open.get(way) ?? 0) + 1)
    return true
  }

  leaves(way: string): void {
    const left = (this.#open.get(way) ?? 1) - 1
    if (left > 0) this.#open.set(way, left)
    else this.#open.delete(way)
    this.#gone.add(way)
  }

  /** `way`: where it was let go; the first denial of each is told at once, beside any flood. */
  record(given: Decision, way: string | null = null): void {
    if (!this.#closed) this.#timer ??= this.#o.clock.after(windowMs, () => this.#end())
    const mustTell = way !== null && given.verdict === 'denied' && !this.#denied.has(way)
    if (mustTell) this.#denied.add(way)
    if (this.#closed || this.#laneOf(given).tellsNow(given, { mustTell })) this.#tell(given)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#end()
  }

  #laneOf(decision: Decision): DecisionLane {
    const { route, verdict } = decision
    const kind = kindOf(decision)
    const name = `${route} ${verdict} ${kind}`
    const lane = this.#lanes.get(name) ?? new DecisionLane(boundsOf(verdict, kind))
    this.#lanes.set(name, lane)
    return lane
  }

  #end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const lanes = this.#lanes
    this.#lanes = new Map()
    this.#gone = new Set()
    this.#denied = new Set()
    for (const lane of lanes.values()) for (const each of lane.gathered()) this.#tell(each)
  }

  #tell(decision: Decision): void {
    const { hooks } = this.#o
    hooks.onDecision(decision)
    const { host, port, route, why, count } = decision
    if (decision.isWayOut && why !== null) hooks.onDenied({ host, port, route, why, count })
  }
}
