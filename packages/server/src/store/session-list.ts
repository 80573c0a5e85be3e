import type { SessionFilter } from '@longhaul/client/contract'
import { sql } from 'kysely'
import { all, isOneOf, isWithin } from './conditions.ts'
import type { Db, SessionRow } from './tables.ts'

/** A session, and the task that it works on. */
export type ListedSession = SessionRow & { readonly task_id: string | null }

/** By creation, from the one that follows `after` on; that one need not be there any more. */
export function listSessions(
  db: Db,
  o: {
    filter: SessionFilter
    order: 'asc' | 'desc'
    limit: number
    after: { createdAt: Date; id: string } | undefined
  },
): Promise<ListedSession[]> {
  const { order, after } = o
  let query = withTask(db).where(fits(o.filter))
  if (after !== undefined) {
    const cursor = sql`(${after.createdAt}::timestamptz, ${after.id})`
    const beyond = order === 'asc' ? sql`>` : sql`<`
    query = query.where(sql<boolean>`(sessions.created_at, sessions.id) ${beyond} ${cursor}`)
  }
  return query
    .orderBy('sessions.created_at', order)
    .orderBy('sessions.id', order)
    .limit(o.limit)
    .execute()
}

export function getListedSession(db: Db, id: string): Promise<ListedSession | undefined> {
  return withTask(db).where('sessions.id', '=', id).executeTakeFirst()
}

/** Archives a session that is over, if it is not; false when there is none, or it is not over. */
export async function archiveSession(db: Db, o: { id: string; now: Date }): Promise<boolean> {
  const row = await db
    .updateTable('sessions')
    .set({ archived_at: sql<Date>`coalesce(archived_at, ${o.now}::timestamptz)` })
    .where('id', '=', o.id)
    .where('status', '=', 'terminated')
    .where('deleted_at', 'is', null)
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}

function withTask(db: Db) {
  return db
    .selectFrom('sessions')
    .leftJoin('tasks', 'tasks.session_id', 'sessions.id')
    .selectAll('sessions')
    .select('tasks.id as task_id')
    .where('sessions.deleted_at', 'is', null)
}

function fits(filter: SessionFilter) {
  const { statuses, agentId, created, archived } = filter
  return all([
    ...isOneOf(sql`sessions.status`, statuses),
    ...isOneOf(sql`sessions.agent ->> 'id'`, agentId === undefined ? undefined : [agentId]),
    ...isWithin(sql`sessions.created_at`, created),
    ...(archived ? [] : [sql`sessions.archived_at is null`]),
  ])
}
