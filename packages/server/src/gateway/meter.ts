import type { Clock } from '../clock.ts'
import { withLimit } from './limits.ts'
import type { Budget } from './policy.ts'

/** Requests that may wait for their turn; a session asks a handful at once. */
const waitersMax = 64
/** As long as the agent's own client waits for an answer. */
const waitMs = 600_000

/** The right to forward one request. `settle` must be called exactly once, with what it cost. */
export type Admission =
  | { readonly kind: 'admitted'; settle(costUsd: number): void }
  | { readonly kind: 'spent' }
  | { readonly kind: 'busy' }

interface Waiter {
  readonly worstUsd: number
  readonly resolve: (admission: Admission) => void
}

/**
 * The budget rule. Nothing is forwarded once spent >= limit. A request whose worst case fits
 * beside what was spent and the worst cases in flight goes at once; one that does not fit goes
 * alone, when nothing else is in flight. So the overshoot is one request at most. Requests go in
 * the order they came: a small one does not overtake a large one that waits.
 */
export class Meter {
  readonly #limitUsd: number
  readonly #clock: Clock
  readonly #waiters: Waiter[] = []
  #spentUsd: number
  #inFlight = 0
  #inFlightUsd = 0

  constructor(o: { budget: Budget; clock: Clock }) {
    this.#limitUsd = o.budget.limitUsd ?? Number.POSITIVE_INFINITY
    this.#spentUsd = o.budget.spentUsd
    this.#clock = o.clock
  }

  get spentUsd(): number {
    return this.#spentUsd
  }

  /** True: nothing is forwarded any more. */
  get breached(): boolean {
    return this.#spentUsd >= this.#limitUsd
  }

  /**
   * Asks for the right to spend up to `worstUsd`. `busy` after ten minutes of waiting, or when too
   * many wait already. Rejects with the signal's reason when it aborts first.
   */
  async admit(worstUsd: number, signal: AbortSignal): Promise<Admission> {
    if (this.#waiters.length >= waitersMax) return { kind: 'busy' }
    const turn = Promise.withResolvers<Admission>()
    const waiter = { worstUsd, resolve: turn.resolve }
    this.#waiters.push(waiter)
    this.#admitNext()
    try {
      return await withLimit(
        { clock: this.#clock, ms: waitMs, signal, what: 'the turn at the budget' },
        () => turn.promise,
      )
    } catch (error) {
      this.#forget(waiter, turn.promise)
      if (signal.aborted) throw error
      return { kind: 'busy' }
    }
  }

  #admitNext(): void {
    for (let next = this.#waiters[0]; next !== undefined; next = this.#waiters[0]) {
      if (this.breached) next.resolve({ kind: 'spent' })
      else if (this.#fits(next.worstUsd)) next.resolve(this.#take(next.worstUsd))
      else return
      this.#waiters.shift()
    }
  }

  #fits(worstUsd: number): boolean {
    return this.#inFlight === 0 || this.#spentUsd + this.#inFlightUsd + worstUsd <= this.#limitUsd
  }

  #take(worstUsd: number): Admission {
    this.#inFlight += 1
    this.#inFlightUsd += worstUsd
    return {
      kind: 'admitted',
      settle: (costUsd) => {
        this.#inFlight -= 1
        // Sums of floats drift; an empty road is exactly empty.
        this.#inFlightUsd = this.#inFlight === 0 ? 0 : this.#inFlightUsd - worstUsd
        this.#spentUsd += costUsd
        this.#admitNext()
      },
    }
  }

  /** Whoever stopped waiting leaves the line; a turn that came at the same moment is given back. */
  #forget(waiter: Waiter, turn: Promise<Admission>): void {
    const at = this.#waiters.indexOf(waiter)
    if (at >= 0) this.#waiters.splice(at, 1)
    else void turn.then((admission) => admission.kind === 'admitted' && admission.settle(0))
    this.#admitNext()
  }
}
