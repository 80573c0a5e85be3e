import type { Clock } from '../clock.ts'
import type { Admission } from '../gateway/meter.ts'
import { newId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Lease } from '../queue/work-queue.ts'
import {
  type Reserved,
  reserveSpending,
  settleSpending,
  spentToday,
} from '../store/key-spending.ts'
import { getKey, holdKey } from '../store/keys.ts'
import type { Store } from '../store/open.ts'
import { throughOutage } from '../store/outage.ts'
import type { KeyRow, TaskRow, Trx } from '../store/tables.ts'
import type { Parking } from '../tasks/park.ts'
import { jitterOf } from './quota.ts'
import { bookMsMax } from './spending.ts'

/** Between two looks whether a request fits; as long as the agent's own client waits, at most. */
const lookMs = 500
const waitMs = 600_000
const dayMs = 24 * 3_600_000

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly config: { readonly keyDayBudgetUsd: number | null }
}

/** What the key that ordered a task may spend in a day, with everything else that it ordered. */
export class KeyBudget {
  readonly #deps: Deps
  readonly #keyId: string
  readonly #lease: Pick<Lease, 'sessionId' | 'attempt'>
  readonly #settling = new Set<Promise<void>>()
  #spent: { readonly name: string; readonly spentUsd: number; readonly limitUsd: number } | null =
    null

  constructor(
    deps: Deps,
    o: { readonly keyId: string; readonly lease: Pick<Lease, 'sessionId' | 'attempt'> },
  ) {
    this.#deps = deps
    this.#keyId = o.keyId
    this.#lease = o.lease
  }

  /** Asks for up to `worstUsd`, and waits for its turn; rejects when the signal aborts. */
  async admit(worstUsd: number, signal: AbortSignal): Promise<Admission> {
    const { clock } = this.#deps
    const until = clock.now() + waitMs
    const id = newId('resv', clock)
    for (;;) {
      const reserved = await this.#reserve(id, worstUsd)
      if (reserved.kind === 'spent') return { kind: 'spent' }
      if (reserved.kind !== 'waits') {
        const isReserved = reserved.kind === 'reserved'
        return { kind: 'admitted', settle: (costUsd) => this.#settle({ id, costUsd, isReserved }) }
      }
      if (clock.now() >= until) return { kind: 'busy' }
      await clock.sleep(lookMs, signal)
    }
  }

  /** What a task whose key has spent its day waits for: the next day, or a raise. */
  parking(): Parking {
    const { clock } = this.#deps
    const now = clock.now()
    const until = new Date(now - (now % dayMs) + dayMs + jitterOf(this.#lease.sessionId))
    const { name, spentUsd, limitUsd } = this.#spent ?? { name: '', spentUsd: 0, limitUsd: 0 }
    const spent = `$${spentUsd.toFixed(2)} of $${limitUsd.toFixed(2)}`
    return {
      reason: 'waiting_budget',
      message: `The day’s budget of the key ${JSON.stringify(name)} is spent (${spent}); the task goes on at ${until.toISOString()}, or when that budget is raised.`,
      until,
      came: (trx) => this.#hasRoom(trx),
    }
  }

  /** Resolves when everything that was spent is in the store, or never will be. */
  async settled(): Promise<void> {
    await Promise.all(this.#settling)
  }

  async #reserve(id: string, worstUsd: number): Promise<Reserved | { readonly kind: 'unlimited' }> {
    const { store, clock, config } = this.#deps
    const key = await getKey(store.db, this.#keyId)
    const limitUsd = key && limitOf(key, config)
    if (limitUsd == null) return { kind: 'unlimited' }
    const { sessionId, attempt } = this.#lease
    const now = new Date(clock.now())
    const wish = { id, keyId: this.#keyId, sessionId, attempt, worstUsd, limitUsd, now }
    const reserved = await store.db.transaction().execute((trx) => reserveSpending(trx, wish))
    if (reserved.kind === 'spent') this.#spent = { ...reserved, name: key?.name ?? '' }
    return reserved
  }

  /** A raise before now is seen, and one after now finds the task parked: both lock the key. */
  async #hasRoom(trx: Trx): Promise<boolean> {
    const key = await holdKey(trx, this.#keyId)
    const limitUsd = key && limitOf(key, this.#deps.config)
    if (limitUsd == null) return true
    const now = new Date(this.#deps.clock.now())
    const spent = await spentToday(trx, { keyIds: [this.#keyId], now })
    return (spent.get(this.#keyId) ?? 0) < limitUsd
  }

  /** The request's reservation stands until what it cost is stored. */
  #settle(o: {
    readonly id: string
    readonly costUsd: number
    readonly isReserved: boolean
  }): void {
    const { store, clock, log } = this.#deps
    const keyId = this.#keyId
    const spent = { ...this.#lease, ...o, keyId, now: new Date(clock.now()) }
    const settling = throughOutage({ clock, ms: bookMsMax }, (failed) => {
      const mayBeSettled = o.isReserved && failed > 0
      const settle = (trx: Trx) => settleSpending(trx, { ...spent, mayBeSettled })
      return store.db.transaction().execute(settle)
    })
      .catch((error: unknown) => {
        const { costUsd } = o
        log.error({ err: error, keyId, costUsd }, 'a request was not charged to its key')
      })
      .finally(() => this.#settling.delete(settling))
    this.#settling.add(settling)
  }
}

/** The budget of the key that ordered a task; null: nobody did. */
export function keyBudgetOf(deps: Deps, task: TaskRow, lease: Lease): KeyBudget | null {
  return task.created_by === null ? null : new KeyBudget(deps, { keyId: task.created_by, lease })
}

/** US dollars in a day; null: no limit. */
function limitOf({ limits }: KeyRow, config: Deps['config']): number | null {
  return limits.day_budget_usd ?? config.keyDayBudgetUsd
}
