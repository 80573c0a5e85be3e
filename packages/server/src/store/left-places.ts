import { sql } from 'kysely'
import type { Db } from './tables.ts'
import { inTransaction } from './values.ts'

/** A session's directory on a node that it has left, and the slot that its files belong to. */
export interface LeftPlace {
  readonly sessionId: string
  readonly slot: number
}

/** What a node still has to remove of sessions that went on elsewhere, the oldest first. */
export async function listLeftPlaces(
  db: Db,
  { node, limit }: { readonly node: string; readonly limit: number },
): Promise<LeftPlace[]> {
  const { rows } = await sql<LeftPlace>`
    select session_id as "sessionId", slot from left_places
    where node = ${node} order by since limit ${limit}`.execute(db)
  return rows
}

/** It is removed, and its slot free; not if the session is back meanwhile, with the slot as its own. */
export async function releaseLeftPlace(db: Db, o: LeftPlace & { readonly node: string }) {
  await sql`
    delete from left_places
    where node = ${o.node} and slot = ${o.slot} and session_id = ${o.sessionId}`.execute(db)
}

/** Before a session moves to `node`: where it was is still to be removed. */
export async function leavePlace(
  db: Db,
  o: { readonly id: string; readonly node: string; readonly now: Date },
): Promise<void> {
  await sql`
    insert into left_places (node, slot, session_id, since)
    select node, slot, id, ${o.now} from sessions
    where id = ${o.id} and node <> ${o.node} and slot is not null
    on conflict (node, session_id) do nothing`.execute(db)
}

/** Where the session left a directory on `node` before, that slot is its own again; null: it did not. */
export async function comeBack(
  db: Db,
  o: { readonly id: string; readonly node: string },
): Promise<number | null> {
  const { rows } = await sql<{ slot: number }>`
    delete from left_places where node = ${o.node} and session_id = ${o.id}
    returning slot`.execute(db)
  return rows[0]?.slot ?? null
}

/** Which of the sessions have a place on the node, or are about to: they were claimed there last. */
export async function havingPlace(
  db: Db,
  { node, ids }: { readonly node: string; readonly ids: readonly string[] },
): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    select id from sessions where id = any(${[...ids]}::text[]) and node = ${node}
      and (slot is not null or status <> 'terminated')
    union select session_id from left_places where node = ${node}`.execute(db)
  return new Set(rows.map(({ id }) => id))
}

/**
 * Makes a directory that nobody owns one that was left, so that its slot is nobody else's until it is
 * removed. False while somebody else has `slot`, or all are taken where any will do (null).
 */
export function adoptPlace(
  db: Db,
  o: {
    readonly id: string
    readonly node: string
    readonly slot: number | null
    readonly slotsMax: number
    readonly now: Date
  },
): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    // As in `leaseSlot`.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`slots ${o.node}`}, 0))`.execute(trx)
    const { numAffectedRows = 0n } = await sql`
      insert into left_places (node, slot, session_id, since)
      select ${o.node}, n, ${o.id}, ${o.now} from generate_series(1, ${o.slotsMax}::int) as n
      where n = coalesce(${o.slot}::int, n)
        and not exists (select from sessions where node = ${o.node} and slot = n)
        and not exists (select from left_places where node = ${o.node} and slot = n)
      order by n limit 1
      on conflict do nothing`.execute(trx)
    return numAffectedRows > 0n
  })
}
