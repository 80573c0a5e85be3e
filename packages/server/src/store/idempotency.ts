import { sql } from 'kysely'
import type { Db, IdempotencyRow, Trx } from './tables.ts'

/** Whose key it is, and for which request it was given. */
export interface KeyOf {
  readonly keyId: string
  readonly route: string
  readonly key: string
}

/** Expired rows removed with one statement, at most. */
const sweptMax = 100

/**
 * Takes the key for this transaction: nobody else takes it until that ends, and whoever tries
 * waits. Null: it is taken, or, when a row older than `expiredBefore` had it, was free again;
 * otherwise the row of the request that was there first.
 */
export async function claimKey(
  trx: Trx,
  o: KeyOf & { readonly requestHash: string; readonly now: Date; readonly expiredBefore: Date },
): Promise<IdempotencyRow | null> {
  const { rows } = await sql`
    insert into idempotency_keys as held (key_id, route, key, request_hash, created_at)
    values (${o.keyId}, ${o.route}, ${o.key}, ${o.requestHash}, ${o.now})
    on conflict (key_id, route, key) do update set
      request_hash = excluded.request_hash, created_at = excluded.created_at,
      task_id = null, location = null, response = null
      where held.created_at <= ${o.expiredBefore}
    returning 1`.execute(trx)
  if (rows.length > 0) return null
  return trx
    .selectFrom('idempotency_keys')
    .selectAll()
    .where('key_id', '=', o.keyId)
    .where('route', '=', o.route)
    .where('key', '=', o.key)
    .executeTakeFirstOrThrow()
}

/** Keeps what the request that took the key was answered. */
export async function keepResponse(
  trx: Trx,
  o: KeyOf & {
    readonly taskId: string | null
    readonly location: string | null
    readonly response: string
  },
): Promise<void> {
  await trx
    .updateTable('idempotency_keys')
    .set({ task_id: o.taskId, location: o.location, response: o.response })
    .where('key_id', '=', o.keyId)
    .where('route', '=', o.route)
    .where('key', '=', o.key)
    .execute()
}

/** Forgets what was answered about a task; the keys stay taken. */
export async function forgetResponses(trx: Trx, taskId: string): Promise<void> {
  await trx
    .updateTable('idempotency_keys')
    .set({ location: null, response: null })
    .where('task_id', '=', taskId)
    .execute()
}

/** Removes the oldest of the rows that expired. */
export async function removeExpiredKeys(db: Db, expiredBefore: Date): Promise<void> {
  await sql`
    delete from idempotency_keys where (key_id, route, key) in (
      select key_id, route, key from idempotency_keys where created_at <= ${expiredBefore}
      order by created_at limit ${sweptMax} for update skip locked)`.execute(db)
}
