import { type DatabaseOptions, PgBoss } from 'pg-boss'
import { z } from 'zod'
import type { Log } from '../log.ts'
import type { Store } from '../store/open.ts'

/** How soon a lapsed lease is noticed; shared between all nodes of a database. */
const superviseSeconds = 2
const connectionsMax = 3

/** pg-boss on the store's database, not started yet, bounded as the store's own pool is. */
export function createBoss({ store, log }: { store: Store; log: Log }): PgBoss {
  const boss = new PgBoss({
    ...connectionOf(store),
    max: connectionsMax,
    schedule: false,
    registerInstance: false,
    monitorVacuum: false,
    superviseIntervalSeconds: superviseSeconds,
    monitorIntervalSeconds: superviseSeconds,
  })
  boss.on('error', (error) => log.warn({ err: error }, 'the queue reports an error'))
  boss.on('warning', (warning) => log.warn({ warning }, 'the queue reports a warning'))
  return boss
}

/** pg-boss's type for responses is empty; what it returns is this. */
const responseSchema = z.object({ affected: z.int() })

/** How many pieces of work a call changed. */
export function affected(response: unknown): number {
  return responseSchema.parse(response).affected
}

/**
 * What pg-boss makes its pool of: it hands everything to `pg`, the bounds too, which its types do
 * not name. They allow nothing that is undefined either.
 */
function connectionOf({ connection }: Store): DatabaseOptions {
  const { types: _, ...named } = connection
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined))
}
