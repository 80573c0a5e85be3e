import type { ScheduleContent } from '@longhaul/client/contract'
import type { Db, ScheduleRow, Trx } from './tables.ts'
import { toJson, toText } from './values.ts'

/** When it fires next; null: never. */
export interface Next {
  readonly nextAt: Date | null
  readonly nextScheduledAt: Date | null
}

export function insertSchedule(
  db: Db,
  o: Next & {
    readonly id: string
    readonly content: ScheduleContent
    readonly createdBy: string
    readonly now: Date
  },
): Promise<ScheduleRow> {
  return db
    .insertInto('schedules')
    .values({
      id: o.id,
      ...columnsOf(o.content),
      next_at: o.nextAt,
      next_scheduled_at: o.nextScheduledAt,
      created_by: o.createdBy,
      created_at: o.now,
      updated_at: o.now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export function getSchedule(db: Db, id: string): Promise<ScheduleRow | undefined> {
  return db.selectFrom('schedules').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The schedule, which nobody else changes or fires until the caller's transaction ends. */
export function lockSchedule(trx: Trx, id: string): Promise<ScheduleRow | undefined> {
  return trx.selectFrom('schedules').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
}

/** Newest first; `before` is the last one of the page before. */
export function listSchedules(
  db: Db,
  o: { readonly limit: number; readonly before?: string },
): Promise<ScheduleRow[]> {
  let query = db.selectFrom('schedules').selectAll()
  if (o.before !== undefined) query = query.where('id', '<', o.before)
  return query.orderBy('id', 'desc').limit(o.limit).execute()
}

/** Ids of those that are to fire by now, the longest due first. */
export async function dueSchedules(
  db: Db,
  { now, limit }: { readonly now: Date; readonly limit: number },
): Promise<string[]> {
  const rows = await db
    .selectFrom('schedules')
    .select('id')
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** The schedule is locked by the caller. */
export function rewriteSchedule(
  trx: Trx,
  o: Next & {
    readonly id: string
    readonly content: ScheduleContent
    readonly createdBy: string | null
    readonly now: Date
  },
): Promise<ScheduleRow> {
  return trx
    .updateTable('schedules')
    .set({
      ...columnsOf(o.content),
      created_by: o.createdBy,
      next_at: o.nextAt,
      next_scheduled_at: o.nextScheduledAt,
      updated_at: o.now,
    })
    .where('id', '=', o.id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

export async function setNext(trx: Trx, { id, ...next }: Next & { readonly id: string }) {
  await trx
    .updateTable('schedules')
    .set({ next_at: next.nextAt, next_scheduled_at: next.nextScheduledAt })
    .where('id', '=', id)
    .execute()
}

/** False: there is no such schedule. */
export async function deleteSchedule(db: Db, id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('schedules')
    .where('id', '=', id)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

function columnsOf(content: ScheduleContent) {
  return {
    name: toText(content.name),
    cron: content.cron,
    time_zone: content.time_zone,
    order: toJson(content.order),
    overlap: content.overlap,
    catch_up: content.catch_up,
    jitter_seconds: content.jitter_seconds,
    paused: content.paused,
  }
}
