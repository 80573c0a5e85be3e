import { sql } from 'kysely'
import type { Trx } from './tables.ts'

/**
 * Removes a session that is over, with its task, its log, its transcript and its artifacts (they
 * reference it, and go with it). Deliveries that are still to be made stay, without it. Where the
 * session holds a slot, a bare row keeps holding it, seen by nobody but the node whose files are
 * still owned by that slot: `releaseSlot` removes it.
 */
export async function removeSession(trx: Trx, o: { id: string; now: Date }): Promise<void> {
  const { id, now } = o
  await sql`delete from deliveries where session_id = ${id}
    and (delivered_at is not null or gave_up_at is not null)`.execute(trx)
  const removed = await trx
    .deleteFrom('sessions')
    .where('id', '=', id)
    .returning(['node', 'slot', 'conversation_id', 'created_at'])
    .executeTakeFirstOrThrow()
  if (removed.slot === null) return
  await trx
    .insertInto('sessions')
    .values({
      ...removed,
      id,
      status: 'terminated',
      agent: '{}',
      environment: '{}',
      updated_at: now,
      deleted_at: now,
    })
    .execute()
}
