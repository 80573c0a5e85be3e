import { sql } from 'kysely'
import type { Db, KeyLimits, KeyRow, Trx } from './tables.ts'
import { toJson, toText } from './values.ts'

/** Between two notes of a key's last use: a busy caller must not write a row a request. */
const touchMs = 60_000

type LimitsPatch = { readonly [Limit in keyof KeyLimits]: KeyLimits[Limit] | null }

export interface NewKey {
  readonly id: string
  /** SHA-256 of the key, in hex. */
  readonly hash: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly limits?: KeyLimits
  readonly createdBy: string | null
  readonly now: Date
}

/** Stores a key; a hash that is there already is left as it is (false). */
export async function insertKey(db: Db, key: NewKey): Promise<boolean> {
  const row = await db
    .insertInto('keys')
    .values({
      id: key.id,
      hash: key.hash,
      name: toText(key.name),
      scopes: [...key.scopes],
      ...(key.limits && { limits: toJson(key.limits) }),
      created_by: key.createdBy,
      created_at: key.now,
    })
    .onConflict((conflict) => conflict.column('hash').doNothing())
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}

/** The key with this hash that was not revoked. */
export function findKeyByHash(db: Db, hash: string): Promise<KeyRow | undefined> {
  return db
    .selectFrom('keys')
    .selectAll()
    .where('hash', '=', hash)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
}

/** A key by its id, revoked or not. */
export function getKey(db: Db, id: string): Promise<KeyRow | undefined> {
  return db.selectFrom('keys').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The same, unchanged until the end of the transaction. */
export function holdKey(trx: Trx, id: string): Promise<KeyRow | undefined> {
  return trx.selectFrom('keys').selectAll().where('id', '=', id).forShare().executeTakeFirst()
}

/** Newest first, revoked ones included; `before` is the last one of the page before. */
export function listKeys(
  db: Db,
  o: { readonly limit: number; readonly before?: string },
): Promise<KeyRow[]> {
  let query = db.selectFrom('keys').selectAll()
  if (o.before !== undefined) query = query.where('id', '<', o.before)
  return query.orderBy('id', 'desc').limit(o.limit).execute()
}

/** What is given changes, a limit that is null goes. Undefined: there is no such key. */
export function updateKey(
  db: Db,
  o: { readonly id: string; readonly name?: string; readonly limits?: LimitsPatch },
): Promise<KeyRow | undefined> {
  return db
    .updateTable('keys')
    .set((set) => ({
      id: set.ref('id'),
      ...(o.name !== undefined && { name: toText(o.name) }),
      ...(o.limits && {
        limits: sql<string>`jsonb_strip_nulls(limits || ${toJson(o.limits)}::jsonb)`,
      }),
    }))
    .where('id', '=', o.id)
    .returningAll()
    .executeTakeFirst()
}

/** From now on nobody comes in with it; what it ordered goes on. Undefined: there is no such key. */
export function revokeKey(
  db: Db,
  { id, now }: { readonly id: string; readonly now: Date },
): Promise<KeyRow | undefined> {
  return db
    .updateTable('keys')
    .set((set) => ({ revoked_at: set.fn.coalesce('revoked_at', set.val(now)) }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
}

/** Whether the key is there and was not revoked. */
export async function isKeyInUse(db: Db, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('keys')
    .select('id')
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}

/** Notes the use of a key, to the minute. */
export async function touchKey(db: Db, o: { id: string; now: Date }): Promise<void> {
  const stale = new Date(o.now.getTime() - touchMs)
  await db
    .updateTable('keys')
    .set({ last_used_at: o.now })
    .where('id', '=', o.id)
    .where((where) =>
      where.or([where('last_used_at', 'is', null), where('last_used_at', '<', stale)]),
    )
    .execute()
}

/** Keys that were not revoked. */
export async function countKeys(db: Db): Promise<number> {
  const row = await db
    .selectFrom('keys')
    .select((select) => select.fn.countAll<number>().as('n'))
    .where('revoked_at', 'is', null)
    .executeTakeFirstOrThrow()
  return row.n
}
