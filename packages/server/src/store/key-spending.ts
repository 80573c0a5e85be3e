import { sql } from 'kysely'
import type { Db, Trx } from './tables.ts'

/** A reservation that nobody settled for so long is nobody's: no model request takes half an hour. */
const reservationMs = 30 * 60_000

/** A part of what a key may spend in a day, for one model request. */
interface Reservation {
  readonly id: string
  readonly keyId: string
  readonly sessionId: string
  readonly attempt: number
  /** The most that the request can cost, in US dollars. */
  readonly worstUsd: number
}

/** What became of the wish to spend; `waits`: it does not fit beside what others have under way. */
export type Reserved =
  | { readonly kind: 'reserved' | 'waits' }
  | { readonly kind: 'spent'; readonly spentUsd: number; readonly limitUsd: number }

/**
 * The house's rule, for all who spend with one key, wherever they run: nothing once spent >= limit;
 * a request whose worst case does not fit beside what is under way goes alone. The row of the day is
 * locked until the caller's transaction ends.
 */
export async function reserveSpending(
  trx: Trx,
  o: Reservation & { readonly limitUsd: number; readonly now: Date },
): Promise<Reserved> {
  const { keyId, limitUsd, worstUsd, now } = o
  await lockDay(trx, { keyId, now })
  const spentUsd = (await spentToday(trx, { keyIds: [keyId], now })).get(keyId) ?? 0
  if (spentUsd >= limitUsd) return { kind: 'spent', spentUsd, limitUsd }
  const underWay = await reserved(trx, { keyId, now })
  if (underWay.count > 0 && spentUsd + underWay.usd + worstUsd > limitUsd) return { kind: 'waits' }
  const { id, sessionId, attempt } = o
  await trx
    .insertInto('key_reservations')
    .values({
      ...{ id, key_id: keyId, session_id: sessionId, attempt },
      worst_usd: worstUsd,
      created_at: now,
    })
    .execute()
  return { kind: 'reserved' }
}

/** What a request cost its key; its reservation, if it has one, is over. */
export async function settleSpending(
  trx: Trx,
  o: Omit<Reservation, 'worstUsd'> & {
    readonly costUsd: number
    readonly now: Date
    /** It had a reservation, and a try before this one may have been stored. */
    readonly mayBeSettled: boolean
  },
): Promise<void> {
  const { id, keyId, costUsd, now } = o
  // In the order in which `reserveSpending` locks.
  await lockDay(trx, { keyId, now })
  const { numDeletedRows: ended } = await trx
    .deleteFrom('key_reservations')
    .where('id', '=', id)
    .executeTakeFirst()
  // While an attempt is under way nobody else ends its reservations. Those of one that is over are
  // dropped: nobody can tell then, and rather than not at all a request is charged twice.
  if (o.mayBeSettled && ended === 0n && (await isUnderWay(trx, o))) return
  await trx
    .updateTable('key_spending')
    .set((set) => ({ spent_usd: set('spent_usd', '+', costUsd) }))
    .where('key_id', '=', keyId)
    .where('day', '=', dayOf(now))
    .execute()
}

/** What requests of an attempt that is over had reserved, and nobody settled: it died, or the store was away. */
export async function dropReservations(db: Db, sessionId: string): Promise<void> {
  await db.deleteFrom('key_reservations').where('session_id', '=', sessionId).execute()
}

async function isUnderWay(
  trx: Trx,
  { sessionId, attempt }: { readonly sessionId: string; readonly attempt: number },
): Promise<boolean> {
  const row = await trx
    .selectFrom('sessions')
    .select('id')
    .where('id', '=', sessionId)
    .where('attempt', '=', attempt)
    .where('status', '=', 'running')
    .executeTakeFirst()
  return row !== undefined
}

/** What keys spent in the day of UTC that it is, in US dollars; who spent nothing may be missing. */
export async function spentToday(
  db: Db,
  { keyIds, now }: { readonly keyIds: readonly string[]; readonly now: Date },
): Promise<ReadonlyMap<string, number>> {
  if (keyIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('key_spending')
    .select(['key_id', 'spent_usd'])
    .where('key_id', 'in', keyIds)
    .where('day', '=', dayOf(now))
    .execute()
  return new Map(rows.map((row) => [row.key_id, row.spent_usd]))
}

async function lockDay(
  trx: Trx,
  { keyId, now }: { readonly keyId: string; readonly now: Date },
): Promise<void> {
  await trx
    .insertInto('key_spending')
    .values({ key_id: keyId, day: dayOf(now) })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await trx
    .selectFrom('key_spending')
    .select('day')
    .where('key_id', '=', keyId)
    .where('day', '=', dayOf(now))
    .forUpdate()
    .execute()
}

/** Requests under way; those of an attempt that is over are not, whether or not they were settled. */
async function reserved(trx: Trx, { keyId, now }: { readonly keyId: string; readonly now: Date }) {
  return trx
    .selectFrom('key_reservations as r')
    .innerJoin('sessions as s', (join) =>
      join.onRef('s.id', '=', 'r.session_id').onRef('s.attempt', '=', 'r.attempt'),
    )
    .where('r.key_id', '=', keyId)
    .where('s.status', '=', 'running')
    .where('r.created_at', '>', new Date(now.getTime() - reservationMs))
    .select((select) => [
      select.fn.countAll<number>().as('count'),
      sql<number>`coalesce(sum(r.worst_usd), 0)`.as('usd'),
    ])
    .executeTakeFirstOrThrow()
}

function dayOf(now: Date): string {
  return now.toISOString().slice(0, 10)
}
