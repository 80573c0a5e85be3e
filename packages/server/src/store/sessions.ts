import type { SessionStatus, Usage } from '@longhaul/client/contract'
import { sql } from 'kysely'
import { dropReservations } from './key-spending.ts'
import { comeBack, leavePlace } from './left-places.ts'
import type { Db, JsonObject, SessionRow } from './tables.ts'
import { inTransaction, toJson } from './values.ts'

export interface NewSession {
  readonly id: string
  /** The UUID of the Claude conversation, `uuidOf(id)`. */
  readonly conversationId: string
  readonly agent: JsonObject
  readonly environment: JsonObject
  readonly createdBy: string | null
  readonly now: Date
}

/** An idle session that nobody has claimed yet. */
export async function insertSession(db: Db, session: NewSession): Promise<void> {
  await db
    .insertInto('sessions')
    .values({
      id: session.id,
      status: 'idle',
      conversation_id: session.conversationId,
      agent: toJson(session.agent),
      environment: toJson(session.environment),
      created_by: session.createdBy,
      created_at: session.now,
      updated_at: session.now,
    })
    .execute()
}

export function getSession(db: Db, id: string): Promise<SessionRow | undefined> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
}

/**
 * Starts the next attempt: from here on nothing of an earlier one is written. A session that comes
 * to another node leaves its slot there, until that node has removed its files.
 */
export async function claimSession(
  trx: Db,
  o: { id: string; node: string; now: Date },
): Promise<{ attempt: number }> {
  await leavePlace(trx, o)
  await dropReservations(trx, o.id)
  const slot = await comeBack(trx, o)
  return trx
    .updateTable('sessions')
    .set((set) => ({
      attempt: set('attempt', '+', 1),
      status: 'running' as const,
      slot: sql<number | null>`case when node = ${o.node} then slot else ${slot}::int end`,
      node: o.node,
      updated_at: o.now,
    }))
    .where('id', '=', o.id)
    .returning('attempt')
    .executeTakeFirstOrThrow()
}

/**
 * The smallest free slot of the node, 1 to `slotsMax`, or the one that the session has. Slots are
 * held until `releaseSlot`: a session that is over keeps its own while files of it are left, so
 * nobody else's processes ever run as their owner. Throws when all are taken.
 */
export function leaseSlot(
  db: Db,
  o: { id: string; node: string; slotsMax: number },
): Promise<number> {
  return inTransaction(db, async (trx) => {
    // One at a time on a node: the statement below then sees every slot that was given.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`slots ${o.node}`}, 0))`.execute(trx)
    const { rows } = await sql<{ slot: number }>`
      update sessions set node = ${o.node}, slot = coalesce(
        case when node = ${o.node} then slot end,
        (select min(n) from generate_series(1, ${o.slotsMax}::int) as n
          where not exists (
            select from sessions as other
            where other.node = ${o.node} and other.slot = n
              and other.id <> ${o.id})
          and not exists (
            select from left_places where node = ${o.node} and slot = n)))
      where id = ${o.id} and status <> 'terminated'
      returning slot`.execute(trx)
    const slot = rows[0]?.slot
    if (typeof slot !== 'number')
      throw new Error(`no slot of ${o.slotsMax} is free for session ${o.id} on ${o.node}`)
    return slot
  })
}

/**
 * Gives a slot of the node back, once nothing there belongs to the session any more. Changes nothing
 * when the session is no longer what the caller saw: removing its files takes a moment, in which a
 * message may reopen it, here or on a node where the slot is another one. What `removeSession` left
 * of it goes with the slot.
 */
export async function releaseSlot(
  db: Db,
  o: { id: string; node: string; slot: number; status: 'terminated' | 'idle' },
): Promise<void> {
  const { id, node, slot, status } = o
  await db
    .updateTable('sessions')
    .set({ slot: null })
    .where((is) => is.and({ id, node, slot, status }))
    .execute()
  await db
    .deleteFrom('sessions')
    .where('id', '=', id)
    .where('slot', 'is', null)
    .where('deleted_at', 'is not', null)
    .execute()
}

interface ParkedSlot {
  readonly id: string
  readonly slot: number
}

/**
 * Sessions of parked tasks that hold a slot of the node and can do without their directory: the agent
 * did nothing since their checkpoint. The `keptMax` that were parked last are not among them.
 */
export async function listParkedSlots(
  db: Db,
  o: { node: string; keptMax: number; limit: number },
): Promise<ParkedSlot[]> {
  const { rows } = await sql<ParkedSlot>`
    with parked as (
      select sessions.id, slot, parked_at
      from sessions join tasks on tasks.session_id = sessions.id
      where node = ${o.node} and slot is not null and sessions.status = 'idle'
        and parked_at is not null
      order by parked_at desc, sessions.id desc offset ${o.keptMax}::int
    )
    select id, slot from parked where not exists (
      select from events where session_id = parked.id
        and type in ('agent.tool_result', 'agent.mcp_tool_result')
        and seq > coalesce((select seq from checkpoints
          where session_id = parked.id and is_whole), 0))
    order by parked_at, id limit ${o.limit}::int`.execute(db)
  return rows
}

/** The session's directory stays when it is over, with its slot: see `listEndedSlots`. */
export async function keepDirectory(db: Db, o: { id: string; now: Date }): Promise<void> {
  await db.updateTable('sessions').set({ kept_at: o.now }).where('id', '=', o.id).execute()
}

interface EndedSlot {
  readonly id: string
  readonly slot: number
  readonly kept_at: Date | null
}

/**
 * Sessions that are over and still hold a slot of the node: their directories are to be removed.
 * Of those whose directory is kept, the newest `keptMax` are not among them.
 */
export async function listEndedSlots(
  db: Db,
  o: { node: string; keptMax: number },
): Promise<EndedSlot[]> {
  const { rows } = await sql<EndedSlot>`
    select id, slot, kept_at from sessions
    where node = ${o.node} and status = 'terminated' and slot is not null and id not in (
      select id from sessions
      where node = ${o.node} and slot is not null and kept_at is not null
      order by kept_at desc, id desc limit ${o.keptMax})`.execute(db)
  return rows
}

/**
 * Adds what a model request used to the session's sums; whoever has the session, because the money is
 * spent. Made again with the same id it changes nothing, unless something else was added meanwhile.
 */
export async function addUsage(
  db: Db,
  o: { id: string; sessionId: string; usage: Usage; costUsd: number },
): Promise<void> {
  const sum = (field: keyof Usage) =>
    sql`coalesce((usage ->> ${sql.lit(field)})::bigint, 0) + ${o.usage[field]}::bigint`
  await sql`
    update sessions set
      usage = usage || jsonb_build_object(
        'input_tokens', ${sum('input_tokens')},
        'output_tokens', ${sum('output_tokens')},
        'cache_read_input_tokens', ${sum('cache_read_input_tokens')},
        'cache_creation_input_tokens', ${sum('cache_creation_input_tokens')}),
      cost_usd = cost_usd + ${o.costUsd}::numeric,
      last_usage_id = ${o.id}
    where id = ${o.sessionId} and last_usage_id is distinct from ${o.id}`.execute(db)
}

/**
 * The number of the newest claim, which stays the newest until the caller's transaction ends; null
 * when there is no such session.
 */
export async function currentAttempt(db: Db, sessionId: string): Promise<number | null> {
  const row = await db
    .selectFrom('sessions')
    .select('attempt')
    .where('id', '=', sessionId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row?.attempt ?? null
}

/** With `attempt` it is fenced: false when another attempt has the session, and nothing changed. */
export async function setSessionStatus(
  db: Db,
  o: { id: string; status: SessionStatus; now: Date; attempt?: number },
): Promise<boolean> {
  const row = await db
    .updateTable('sessions')
    .set({ status: o.status, updated_at: o.now })
    .where('id', '=', o.id)
    .$if(o.attempt !== undefined, (query) => query.where('attempt', '=', o.attempt ?? 0))
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}
