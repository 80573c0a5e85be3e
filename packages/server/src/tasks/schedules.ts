import type { FieldError, ScheduleContent, SchedulePatch } from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Caller } from '../caller.ts'
import { newId } from '../ids.ts'
import { timetableProblem } from '../queue/cron.ts'
import { insertFire } from '../store/schedule-fires.ts'
import { insertSchedule, lockSchedule, type Next, rewriteSchedule } from '../store/schedules.ts'
import { scrubberOf } from '../store/scrubbing-dialect.ts'
import type { ScheduleFireRow, ScheduleRow, TaskRow, Trx } from '../store/tables.ts'
import { countEnd } from './end.ts'
import { fireTimes, forgetTimes } from './fire.ts'
import { callerOf, orderOf, type ScheduleDeps, ScheduleRefused } from './schedule-order.ts'
import { nextOf } from './schedule-times.ts'

/** Throws `ScheduleRefused`, or what a task of this order would be refused with. */
export async function createSchedule(
  trx: Trx,
  deps: ScheduleDeps,
  content: ScheduleContent,
  caller: Caller,
): Promise<ScheduleRow> {
  const { clock } = deps
  await judge(trx, deps, content, caller)
  const now = new Date(clock.now())
  const id = newId('sched', clock)
  return insertSchedule(trx, {
    ...{ id, content, createdBy: caller.keyId, now },
    ...nextOf({ id, ...content }, now),
  })
}

/**
 * Undefined: there is no such schedule. No change loses what it is due for: another name, order or
 * policy leaves its next time as it is, another timetable fires first what came by the old one, and
 * what a pause comes before is in the history as missed.
 */
export async function changeSchedule(
  deps: ScheduleDeps,
  { id, patch, caller }: { id: string; patch: SchedulePatch; caller: Caller },
): Promise<ScheduleRow | undefined> {
  const { store, clock, metrics } = deps
  let ended: readonly TaskRow[] = []
  const changed = await store.db.transaction().execute(async (trx) => {
    const row = await lockSchedule(trx, id)
    if (row === undefined) return undefined
    const given = Object.entries(patch).filter(([, value]) => value !== undefined)
    const content: ScheduleContent = { ...contentOf(row), ...Object.fromEntries(given) }
    // Whoever writes the order is who orders: else a key that may less would have another's rights.
    const createdBy = patch.order === undefined ? row.created_by : caller.keyId
    const owner = createdBy === caller.keyId ? caller : await ownerOf(trx, createdBy)
    await judge(trx, deps, content, owner)
    const now = new Date(clock.now())
    if (content.paused) await forgetTimes(trx, { row, now })
    else if (!isTimedAs(row, content))
      ended = await fireTimes(trx, deps, { row, now, heldBack: true })
    return rewriteSchedule(trx, { id, content, createdBy, now, ...nextAfter(row, content, now) })
  })
  for (const task of ended) countEnd(metrics, task)
  return changed
}

async function ownerOf(trx: Trx, keyId: string | null): Promise<Caller | null> {
  return keyId === null ? null : callerOf(trx, keyId)
}

/** Orders a task of it now, whatever its policies say. Undefined: there is no such schedule. */
export async function fireNow(
  trx: Trx,
  deps: ScheduleDeps,
  { id, caller }: { readonly id: string; readonly caller: Caller },
): Promise<ScheduleFireRow | undefined> {
  const row = await lockSchedule(trx, id)
  if (row === undefined) return undefined
  const task = await deps.create(trx, orderOf(deps.policy, row.order), caller)
  const now = new Date(deps.clock.now())
  const made = { scheduleId: id, scheduledAt: now, firedAt: now, isManual: true }
  return insertFire(trx, { ...made, state: 'ordered', taskId: task.id })
}

async function judge(
  trx: Trx,
  { policy, create }: ScheduleDeps,
  content: ScheduleContent,
  caller: Caller | null,
): Promise<void> {
  const problem = timetableProblem({ cron: content.cron, timeZone: content.time_zone })
  const problems: FieldError[] = problem === null ? [] : [problem]
  if ('start_at' in content.order)
    problems.push({ field: 'order.start_at', message: 'expected none: the schedule says when' })
  if (problems.length > 0) throw new ScheduleRefused(problems)
  const order = orderOf(policy, content.order, scrubberOf(trx))
  if (caller === null) return
  // A task of it is made and undone: an agent that is not there is refused now, and not at night.
  await sql`savepoint trial`.execute(trx)
  await create(trx, order, caller)
  await sql`rollback to savepoint trial`.execute(trx)
}

/** When a schedule that is changed fires next. */
function nextAfter(row: ScheduleRow, content: ScheduleContent, now: Date): Next {
  const isKept = !row.paused && !content.paused && isTimedAs(row, content)
  if (!isKept) return nextOf({ id: row.id, ...content }, now)
  return { nextAt: row.next_at, nextScheduledAt: row.next_scheduled_at }
}

/** Whether both name the same times. */
function isTimedAs(row: ScheduleRow, { cron, time_zone, jitter_seconds }: ScheduleContent) {
  return row.cron === cron && row.time_zone === time_zone && row.jitter_seconds === jitter_seconds
}

function contentOf(row: ScheduleRow): ScheduleContent {
  const { name, cron, time_zone, order, overlap, catch_up, jitter_seconds, paused } = row
  return { name, cron, time_zone, order, overlap, catch_up, jitter_seconds, paused }
}
