import { sql } from 'kysely'
import type { Db } from './tables.ts'

/** Sessions whose recordings go with one statement: it locks few rows, and not for long. */
const batchMax = 200

/**
 * Removes transcripts and artifacts of sessions that were over before then, a batch of them; how many
 * there were. Their logs and results stay.
 */
export async function removeRecordings(db: Db, endedBefore: Date): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select s.id from sessions s
    where s.status = 'terminated' and s.updated_at < ${endedBefore} and (
      exists (select from artifacts where session_id = s.id)
      or exists (select from transcript_entries where session_id = s.id))
    order by s.updated_at limit ${batchMax}`.execute(db)
  const ids = rows.map(({ id }) => id)
  if (ids.length === 0) return 0
  await sql`delete from artifacts where session_id = any(${ids})`.execute(db)
  await sql`delete from transcript_entries where session_id = any(${ids})`.execute(db)
  return ids.length
}

/** Removes whole tasks that ended before then, a batch of them, log and all; their ids. */
export async function listOldTasks(db: Db, endedBefore: Date): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from tasks where completed_at < ${endedBefore}
    order by completed_at limit ${batchMax}`.execute(db)
  return rows.map(({ id }) => id)
}

/** Removes reservations of money that nobody can settle any more, and sums of days long past. */
export async function removeOldSpending(
  db: Db,
  o: { readonly reservedBefore: Date; readonly dayBefore: Date },
): Promise<void> {
  await sql`delete from key_reservations where created_at < ${o.reservedBefore}`.execute(db)
  await sql`delete from key_spending where day < ${o.dayBefore.toISOString().slice(0, 10)}::date`.execute(
    db,
  )
}
