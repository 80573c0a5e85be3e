import { type RawBuilder, sql } from 'kysely'
import { artifactBytesMax } from './artifacts.ts'
import type { Db, Trx } from './tables.ts'

/** What is looked for at once. */
const batchMax = 200
/**
 * A statement that has removed so much begins no further row: it takes a second or two of the thirty that it
 * has. An artifact goes as a whole, so that nobody reads half of one.
 */
const pieceBytesMax = artifactBytesMax
const pieceRowsMax = 1000

/** Sessions that were over before then and have recordings, the longest first, but for those that are named. */
export async function listOldRecordings(
  db: Db,
  { endedBefore, except }: { readonly endedBefore: Date; readonly except: readonly string[] },
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select s.id from sessions s
    where s.status = 'terminated' and s.updated_at < ${endedBefore}
      and s.id <> all(${[...except]}::text[]) and (
        exists (select from artifacts where session_id = s.id)
        or exists (select from transcript_entries where session_id = s.id))
    order by s.updated_at limit ${batchMax}`.execute(db)
  return rows.map(({ id }) => id)
}

/**
 * Removes a piece of what was recorded of a session that was over before then: its transcript and its
 * artifacts; its log and its result stay. `kept`: it is not over, or not for so long, or somebody holds it.
 * From the first piece on the session is not gone on with.
 */
export function removeRecordings(
  db: Db,
  o: { readonly sessionId: string; readonly endedBefore: Date; readonly now: Date },
): Promise<'gone' | 'more' | 'kept'> {
  const { sessionId, endedBefore, now } = o
  return db.transaction().execute(async (trx) => {
    // The lock of a follow-up (`currentAttempt`), so that it waits for the mark or is not waited for. A
    // stronger one would wait for who replaces an artifact, and who replaces one for it.
    const held = await sql`
      select from sessions
      where id = ${sessionId} and status = 'terminated' and updated_at < ${endedBefore}
      for no key update skip locked`.execute(trx)
    if (held.rows.length === 0) return 'kept'
    await sql`
      update sessions set recordings_removed_at = ${now}
      where id = ${sessionId} and recordings_removed_at is null`.execute(trx)
    await removeEntries(trx, sessionId)
    await removeArtifacts(trx, sessionId)
    const { rows } = await sql<{ more: boolean }>`
      select exists (select from transcript_entries where session_id = ${sessionId})
        or exists (select from artifacts where session_id = ${sessionId}) as more`.execute(trx)
    return rows[0]?.more === true ? 'more' : 'gone'
  })
}

// In the order of an index, which ends the search after as many rows.

async function removeEntries(trx: Trx, sessionId: string): Promise<void> {
  await sql`
    with next as (
      select position, pg_column_size(entry) as bytes from transcript_entries
      where session_id = ${sessionId}
      order by conversation_id, subpath, position limit ${pieceRowsMax}
    ), piece as (select position as key, ${bytesBefore(sql`position`)} as before from next)
    delete from transcript_entries using piece
    where position = key and before < ${pieceBytesMax}`.execute(trx)
}

async function removeArtifacts(trx: Trx, sessionId: string): Promise<void> {
  await sql`
    with next as (
      select id, name, bytes from artifacts
      where session_id = ${sessionId} order by name limit ${pieceRowsMax}
    ), piece as (select id as key, ${bytesBefore(sql`name`)} as before from next)
    delete from artifacts using piece
    where id = key and before < ${pieceBytesMax}`.execute(trx)
}

/** Of the rows before it in that order. */
function bytesBefore(order: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`sum(bytes) over (order by ${order}) - bytes`
}

/** A task that ended long ago. */
export interface OldTask {
  readonly id: string
  readonly sessionId: string
}

/** Tasks that ended before then, the longest ago first, but for those that are named. */
export async function listOldTasks(
  db: Db,
  { endedBefore, except }: { readonly endedBefore: Date; readonly except: readonly string[] },
): Promise<OldTask[]> {
  const { rows } = await sql<OldTask>`
    select id, session_id as "sessionId" from tasks
    where completed_at < ${endedBefore} and id <> all(${[...except]}::text[])
    order by completed_at limit ${batchMax}`.execute(db)
  return rows
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
