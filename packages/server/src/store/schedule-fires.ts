import type { FireState } from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Db, ScheduleFireRow, Trx } from './tables.ts'
import { toText } from './values.ts'

/** Times of one schedule that are kept, beside those of which something is still to come. */
const firesMax = 1000

interface Fire {
  readonly scheduleId: string
  readonly scheduledAt: Date
  readonly isManual: boolean
}

/** What came of a time; each time of a schedule is written once, by whoever has its lock. */
export async function insertFire(
  trx: Trx,
  o: Fire & {
    readonly firedAt: Date
    readonly state: FireState
    readonly message?: string | null
    readonly taskId?: string | null
  },
): Promise<ScheduleFireRow> {
  const row = await trx
    .insertInto('schedule_fires')
    .values({
      schedule_id: o.scheduleId,
      scheduled_at: o.scheduledAt,
      is_manual: o.isManual,
      fired_at: o.firedAt,
      state: o.state,
      message: o.message == null ? null : toText(o.message),
      task_id: o.taskId ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  await forgetOldest(trx, o.scheduleId)
  return row
}

/** What waits, or has a task that goes on, is what the overlap policy looks at: it stays, however old. */
async function forgetOldest(trx: Trx, scheduleId: string): Promise<void> {
  await sql`
    delete from schedule_fires as f where schedule_id = ${scheduleId} and scheduled_at < (
      select scheduled_at from schedule_fires where schedule_id = ${scheduleId}
      order by scheduled_at desc offset ${firesMax - 1} limit 1)
    and state <> 'waiting' and not exists (
      select from tasks where id = f.task_id and status in ('pending', 'running'))`.execute(trx)
}

/** What became of one that waited. */
export async function settleFire(
  trx: Trx,
  row: ScheduleFireRow,
  o: Pick<ScheduleFireRow, 'state' | 'message' | 'task_id' | 'fired_at'>,
): Promise<void> {
  await trx
    .updateTable('schedule_fires')
    .set({ ...o, message: o.message === null ? null : toText(o.message) })
    .where('schedule_id', '=', row.schedule_id)
    .where('scheduled_at', '=', row.scheduled_at)
    .where('is_manual', '=', row.is_manual)
    .execute()
}

/** Newest first; `before` is the last one of the page before. */
export function listFires(
  db: Db,
  o: { readonly scheduleId: string; readonly limit: number; readonly before?: Date },
): Promise<ScheduleFireRow[]> {
  let query = db.selectFrom('schedule_fires').selectAll().where('schedule_id', '=', o.scheduleId)
  if (o.before !== undefined) query = query.where('scheduled_at', '<', o.before)
  return query.orderBy('scheduled_at', 'desc').limit(o.limit).execute()
}

/** Tasks of a schedule that have not ended, at most a hundred. */
export async function openTasksOf(db: Db, scheduleId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('schedule_fires as f')
    .innerJoin('tasks as t', 't.id', 'f.task_id')
    .where('f.schedule_id', '=', scheduleId)
    .where('t.status', 'in', ['pending', 'running'])
    .select('t.id')
    .orderBy('t.id')
    .limit(100)
    .execute()
  return rows.map(({ id }) => id)
}

/** Those of a schedule that wait for the end of a task, the earliest first. */
export function waitingFires(db: Db, scheduleId: string): Promise<ScheduleFireRow[]> {
  return db
    .selectFrom('schedule_fires')
    .selectAll()
    .where('schedule_id', '=', scheduleId)
    .where('state', '=', 'waiting')
    .orderBy('scheduled_at')
    .execute()
}

/** Schedules of which something waits though none of their tasks goes on. */
export async function readyToGoOn(db: Db, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('schedule_fires as f')
    .where('f.state', '=', 'waiting')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('schedule_fires as g')
            .innerJoin('tasks as t', 't.id', 'g.task_id')
            .whereRef('g.schedule_id', '=', 'f.schedule_id')
            .where('t.status', 'in', ['pending', 'running'])
            .select('t.id'),
        ),
      ),
    )
    .select('f.schedule_id')
    .distinct()
    .limit(limit)
    .execute()
  return rows.map(({ schedule_id: id }) => id)
}
