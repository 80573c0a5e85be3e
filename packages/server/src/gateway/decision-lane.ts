import { type DecisionKind, labelOf, likenessOf, withoutQuery } from './decision-kind.ts'
import type { Decision } from './policy.ts'

/** What one lane tells of one window. */
export interface LaneBounds {
  /** Different ones that are told apart; the others are one, of the host `*`. */
  readonly different: number
  /** Equal ones that are told each; the others are added up. */
  readonly equal: number
  /** Those that are told each, whichever they are. */
  readonly atOnce: number
}

const allowed: LaneBounds = { different: 200, equal: 30, atOnce: 400 }
const denied: Readonly<Record<DecisionKind, number>> = {
  plain: 60,
  write: 200,
  metadata: 100,
  private: 100,
}
/** What an entry names of those that it stands for. */
const hiddenMax = 50
const examplesMax = 5

export function boundsOf(verdict: Decision['verdict'], kind: DecisionKind): LaneBounds {
  if (verdict === 'allowed') return allowed
  return { different: denied[kind], equal: 1, atOnce: denied[kind] }
}

/** Decisions of one route, verdict and kind within one window: no other lane can use up its bounds. */
export class DecisionLane {
  readonly #bounds: LaneBounds
  readonly #seen = new Map<string, number>()
  readonly #alike = new Map<string, Gathered>()
  /** What is not told apart: ways out, and what is none. */
  readonly #rest = new Map<boolean, Gathered>()
  #told = 0
  /** Of what was seen, what had to be told: it takes nobody's place. */
  #beside = 0

  constructor(bounds: LaneBounds) {
    this.#bounds = bounds
  }

  /** Whether it is to be told now, by itself; if not, it was gathered. */
  tellsNow(decision: Decision, { mustTell = false } = {}): boolean {
    const { different, equal, atOnce } = this.#bounds
    const key = likenessOf(decision)
    const before = this.#seen.get(key)
    if (mustTell) {
      if (before === undefined) this.#beside += 1
      this.#seen.set(key, (before ?? 0) + decision.count)
      return true
    }
    if (before === undefined && this.#seen.size - this.#beside >= different) {
      gather(this.#rest, decision.isWayOut, decision, hiddenMax)
      return false
    }
    const seen = (before ?? 0) + decision.count
    this.#seen.set(key, seen)
    if (seen <= equal && this.#told < atOnce) {
      this.#told += 1
      return true
    }
    gather(this.#alike, key, decision, examplesMax)
    return false
  }

  /** What was not told yet. */
  *gathered(): Iterable<Decision> {
    for (const each of this.#alike.values()) yield alikeOf(each)
    for (const each of this.#rest.values()) yield restOf(each)
  }
}

/** Several decisions as one. */
interface Gathered {
  readonly first: Decision
  count: number
  sums: Decision['sums']
  readonly labels: Set<string>
  /** How many the labels do not name. */
  unnamed: number
}

function gather<K>(all: Map<K, Gathered>, key: K, decision: Decision, labelsMax: number): void {
  const into = all.get(key) ?? {
    first: decision,
    count: 0,
    sums: {},
    labels: new Set(),
    unnamed: 0,
  }
  all.set(key, into)
  into.count += decision.count
  into.sums = addedUp(into.sums, decision.sums)
  const label = labelOf(decision)
  if (into.labels.has(label) || into.labels.size < labelsMax) into.labels.add(label)
  else into.unnamed += decision.count
}

/** Equal ones; reads that differ by their query have some of them as examples. */
function alikeOf({ first, count, sums, labels }: Gathered): Decision {
  if (labels.size === 1) return { ...first, count, sums }
  const { details, ...rest } = withoutQuery(first)
  return { ...rest, count, sums, details: { ...details, examples: [...labels] } }
}

function restOf({ first, count, sums, labels, unnamed }: Gathered): Decision {
  const { route, verdict, isWayOut } = first
  const hidden = [...labels]
  const some = hidden.slice(0, examplesMax).join(', ')
  const why =
    verdict === 'denied'
      ? `Too many different ones in a minute; ${count} more, such as ${some}.`
      : null
  const details = { hidden, hidden_more: unnamed }
  return { route, verdict, count, sums, isWayOut, host: '*', port: 0, why, details }
}

/** Numbers of the same name, added. */
export function addedUp(a: Decision['sums'], b: Decision['sums']): Decision['sums'] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]))
}
