import { createHash } from 'node:crypto'
import {
  type FieldError,
  fieldErrors,
  type GivenOrder,
  type OrderPolicy,
  type ScheduleContent,
  type SchedulePatch,
  taskCreateOrder,
} from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import { nextFires, timetableProblem } from '../queue/cron.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import { getKey } from '../store/keys.ts'
import type { Store } from '../store/open.ts'
import { insertFire } from '../store/schedule-fires.ts'
import { insertSchedule, lockSchedule, type Next, rewriteSchedule } from '../store/schedules.ts'
import { scrubberOf } from '../store/scrubbing-dialect.ts'
import type { ScheduleFireRow, ScheduleRow, TaskRow, Trx } from '../store/tables.ts'

/** What schedules work with. */
export interface ScheduleDeps {
  readonly store: Store
  readonly clock: Clock
  /** Which orders this server takes. */
  readonly policy: OrderPolicy
  readonly create: (trx: Trx, order: GivenOrder, caller: Caller) => Promise<TaskRow>
  readonly cancel: (id: string, caller: Caller) => Promise<TaskRow | undefined>
}

/** A schedule that could never do what it says. */
export class ScheduleRefused extends Error {
  readonly fields: readonly FieldError[]

  constructor(fields: readonly FieldError[]) {
    super('The schedule is not valid.')
    this.fields = fields
  }
}

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

/** Undefined: there is no such schedule. What it is due for now is not lost: only a pause forgets. */
export async function changeSchedule(
  deps: ScheduleDeps,
  id: string,
  patch: SchedulePatch,
): Promise<ScheduleRow | undefined> {
  const { store, clock } = deps
  return store.db.transaction().execute(async (trx) => {
    const row = await lockSchedule(trx, id)
    if (row === undefined) return undefined
    const given = Object.entries(patch).filter(([, value]) => value !== undefined)
    const content: ScheduleContent = { ...contentOf(row), ...Object.fromEntries(given) }
    const caller = row.created_by === null ? null : await callerOf(trx, row.created_by)
    await judge(trx, deps, content, caller)
    const now = new Date(clock.now())
    return rewriteSchedule(trx, { id, content, now, ...nextOf({ id, ...content }, now) })
  })
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

/** The first time after `from`, with its jitter. */
export function nextOf(
  o: Pick<ScheduleContent, 'cron' | 'time_zone' | 'jitter_seconds' | 'paused'> & {
    readonly id: string
  },
  from: Date,
): Next {
  const timetable = { cron: o.cron, timeZone: o.time_zone }
  const [next] = o.paused ? [] : nextFires(timetable, from, 1)
  if (next === undefined) return { nextAt: null, nextScheduledAt: null }
  const nextAt = new Date(next.getTime() + jitterMsOf(o, next))
  return { nextAt, nextScheduledAt: next }
}

/** The order of a task; throws `ScheduleRefused` when this server does not take it (any more). */
export function orderOf(
  policy: OrderPolicy,
  order: ScheduleRow['order'],
  scrubber: Scrubber | null = null,
): GivenOrder {
  const result = taskCreateOrder(policy).safeParse(order)
  if (result.success) return result.data
  const fields = fieldErrors(result.error, order, (text) => scrubber?.text(text) ?? text)
  throw new ScheduleRefused(
    fields.map(({ field, message }) => ({ field: `order.${field}`, message })),
  )
}

/** Who ordered the tasks of a schedule; null: that key was revoked. */
export async function callerOf(trx: Trx, keyId: string): Promise<Caller | null> {
  const key = await getKey(trx, keyId)
  if (key === undefined || key.revoked_at !== null) return null
  return { keyId, name: key.name, scopes: key.scopes }
}

/** The same for a time on every node, and another one each time. */
export function jitterMsOf(
  { id, jitter_seconds: seconds }: { readonly id: string; readonly jitter_seconds: number },
  time: Date,
): number {
  if (seconds === 0) return 0
  const hash = createHash('sha256').update(`${id} ${time.getTime()}`).digest()
  return hash.readUInt32BE(0) % (seconds * 1000)
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

function contentOf(row: ScheduleRow): ScheduleContent {
  const { name, cron, time_zone, order, overlap, catch_up, jitter_seconds, paused } = row
  return { name, cron, time_zone, order, overlap, catch_up, jitter_seconds, paused }
}
