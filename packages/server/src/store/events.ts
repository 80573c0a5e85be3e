import { totalMax } from '@longhaul/client/contract'
import { sql } from 'kysely'
import { type EventFilter, fits } from './event-filter.ts'
import { LeaseLost } from './lease-lost.ts'
import type { Db, EventRow } from './tables.ts'

/** One event to insert; its number comes from the session. */
export interface NewEventRow {
  readonly id: string
  readonly type: string
  readonly threadId: string | null
  /** JSON text, made by `toJson`. */
  readonly payload: string
}

/**
 * Inserts events with the next numbers of the session and returns the first of these. The number is
 * taken under the session's row lock, held until the transaction ends: numbers are dense in commit
 * order, and a rollback gives them back. With `attempt` it is the fence: throws LeaseLost when
 * another attempt has the session. Everyone who listens is told at commit.
 */
export async function insertEvents(
  db: Db,
  o: {
    sessionId: string
    attempt: number | null
    rows: readonly NewEventRow[]
    now: Date
    channel: string
  },
): Promise<number> {
  const { rows } = o
  const column = <K extends keyof NewEventRow>(name: K) => rows.map((row) => row[name])
  const result = await sql<{ last_seq: number }>`
    with numbered as (
      update sessions set last_seq = last_seq + ${rows.length}::int
      where id = ${o.sessionId} and (${o.attempt}::int is null or attempt = ${o.attempt}::int)
      returning id, last_seq
    ), inserted as (
      insert into events (session_id, seq, id, type, thread_id, attempt, payload, created_at)
      select numbered.id, numbered.last_seq - ${rows.length}::int + given.place, given.id,
        given.type, given.thread_id, ${o.attempt}::int, given.payload::jsonb, ${o.now}::timestamptz
      from numbered, unnest(${column('id')}::text[], ${column('type')}::text[],
        ${column('threadId')}::text[], ${column('payload')}::text[]) with ordinality
        as given (id, type, thread_id, payload, place)
    )
    select last_seq, pg_notify(${o.channel}, id) from numbered`.execute(db)
  const last = result.rows[0]?.last_seq
  if (last !== undefined) return last - rows.length + 1
  if (o.attempt === null) throw new Error(`there is no session ${o.sessionId}`)
  throw new LeaseLost(o.sessionId, o.attempt)
}

/**
 * Events after a number, in order. `upTo`: the log as it was when that was its last number.
 * `lastOfId`: of rows with one event id, only the last.
 */
export function selectEvents(
  db: Db,
  o: {
    sessionId: string
    after: number
    limit: number
    upTo?: number
    lastOfId?: boolean
  } & EventFilter,
): Promise<EventRow[]> {
  let query = db
    .selectFrom('events')
    .selectAll()
    .where('session_id', '=', o.sessionId)
    .where('seq', '>', o.after)
    .where(fits(o))
  if (o.upTo !== undefined) query = query.where('seq', '<=', o.upTo)
  if (o.lastOfId === true) query = query.where(isLastOfId(o.upTo))
  return query.orderBy('seq').limit(o.limit).execute()
}

/** Events of a session that fit, up to `totalMax`; of rows with one event id, the last counts. */
export async function countEvents(db: Db, o: { sessionId: string } & EventFilter): Promise<number> {
  const fitting = db
    .selectFrom('events')
    .select('seq')
    .where('session_id', '=', o.sessionId)
    .where(fits(o))
    .where(isLastOfId())
    .limit(totalMax)
  const { n } = await db
    .selectFrom(fitting.as('counted'))
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow()
  return n
}

/** No later row of its session has its id; what came after `upTo` is not looked at. */
function isLastOfId(upTo?: number) {
  const within = upTo === undefined ? sql`true` : sql`later.seq <= ${upTo}`
  return sql<boolean>`not exists (
    select from events as later
    where later.session_id = events.session_id and later.id = events.id
      and later.seq > events.seq and ${within})`
}
