import type { Log } from '../log.ts'
import { firesUpTo } from '../queue/cron.ts'
import { AgentRefused } from '../sessions/agents.ts'
import { EnvironmentRefused } from '../sessions/environments.ts'
import {
  insertFire,
  openTasksOf,
  readyToGoOn,
  settleFire,
  waitingFires,
} from '../store/schedule-fires.ts'
import { dueSchedules, getSchedule, lockSchedule, setNext } from '../store/schedules.ts'
import type { ScheduleRow, Trx } from '../store/tables.ts'
import {
  callerOf,
  jitterMsOf,
  nextOf,
  orderOf,
  type ScheduleDeps,
  ScheduleRefused,
} from './schedules.ts'

/** Schedules that fire at once; the rest follows a second later. */
const dueMax = 100
/** A time is missed when nobody was there for so long after it. */
const graceMs = 60_000
/** Times that are caught up, or written down as missed; earlier ones are forgotten. */
const timesMax = 100
/** Fires of one schedule that wait for a task to end. */
const waitingMax = 10

/**
 * Fires every schedule whose time has come, and orders what waited for a task to end. Any number of
 * nodes may do so at once: each time is fired under its schedule's lock, with the task that it makes
 * in the same transaction, so a crash fires it once all the same.
 */
export async function fireDue(deps: ScheduleDeps & { readonly log: Log }): Promise<void> {
  const { store, clock, log } = deps
  const now = new Date(clock.now())
  for (const id of await dueSchedules(store.db, { now, limit: dueMax })) {
    // One that cannot fire must not keep the others from it.
    await fire(deps, id).catch((error: unknown) =>
      log.error({ err: error, scheduleId: id }, 'a schedule could not fire'),
    )
  }
  for (const id of await readyToGoOn(store.db, dueMax)) await goOn(deps, id)
}

async function fire(deps: ScheduleDeps, id: string): Promise<void> {
  const { store, clock } = deps
  await cancelPrevious(deps, id)
  await store.db.transaction().execute(async (trx) => {
    const row = await lockSchedule(trx, id)
    const now = new Date(clock.now())
    // Somebody else fired it, or changed it, meanwhile.
    if (row?.next_scheduled_at == null || row.next_at === null || row.next_at > now) return
    const { missed, wanted } = timesOf(row, row.next_scheduled_at, now)
    const at = { scheduleId: id, firedAt: now, isManual: false }
    for (const scheduledAt of missed) {
      const message = 'No server was there at that time.'
      await insertFire(trx, { ...at, scheduledAt, state: 'missed', message })
    }
    for (const scheduledAt of wanted)
      await insertFire(trx, { ...at, scheduledAt, ...(await outcome(trx, deps, row)) })
    const last = missed.concat(wanted).reduce((a, b) => (a > b ? a : b), row.next_scheduled_at)
    await setNext(trx, { id, ...nextOf(row, last) })
  })
}

/** The times that are to be fired, and those that were missed and are not caught up; earliest first. */
function timesOf(row: ScheduleRow, from: Date, now: Date): { missed: Date[]; wanted: Date[] } {
  const timetable = { cron: row.cron, timeZone: row.time_zone }
  const agoMs = (time: Date): number => now.getTime() - time.getTime() - jitterMsOf(row, time)
  const passed = firesUpTo(timetable, { from, now, max: timesMax })
  // In their order: one that its jitter holds back holds back those after it.
  const first = passed.findIndex((time) => agoMs(time) < 0)
  const times = first < 0 ? passed : passed.slice(0, first)
  const isMissed = (time: Date): boolean => agoMs(time) > graceMs
  const late = times.filter(isMissed)
  const onTime = times.filter((time) => !isMissed(time))
  if (row.catch_up === 'all') return { missed: [], wanted: times }
  const caughtUp = row.catch_up === 'last' && onTime.length === 0 ? late.slice(-1) : []
  return { missed: late.slice(0, late.length - caughtUp.length), wanted: [...caughtUp, ...onTime] }
}

/** What comes of a time, by the overlap policy. */
async function outcome(trx: Trx, deps: ScheduleDeps, row: ScheduleRow) {
  const open = row.overlap === 'cancel_previous' ? [] : await openTasksOf(trx, row.id)
  if (open.length === 0 && (await waitingFires(trx, row.id)).length === 0)
    return order(trx, deps, row)
  if (row.overlap === 'skip')
    return { state: 'skipped', message: `The task ${open[0] ?? ''} still goes on.` } as const
  const ahead = (await waitingFires(trx, row.id)).length
  return ahead < waitingMax
    ? ({ state: 'waiting', message: 'It waits for the task before it.' } as const)
    : ({ state: 'skipped', message: `${waitingMax} wait already.` } as const)
}

/** Makes the task; why not, when the order or its key is good no more. */
async function order(trx: Trx, deps: ScheduleDeps, row: ScheduleRow) {
  const caller = row.created_by === null ? null : await callerOf(trx, row.created_by)
  if (caller === null)
    return { state: 'refused', message: 'The key that made the schedule was revoked.' } as const
  try {
    const task = await deps.create(trx, orderOf(deps.policy, row.order), caller)
    return { state: 'ordered', taskId: task.id } as const
  } catch (error) {
    // Each is thrown before anything was written.
    if (error instanceof ScheduleRefused) {
      const said = error.fields.map(({ field, message }) => `${field}: ${message}`)
      return { state: 'refused', message: said.join('; ') } as const
    }
    if (error instanceof AgentRefused || error instanceof EnvironmentRefused)
      return { state: 'refused', message: error.message } as const
    throw error
  }
}

/** What waited goes on, one at a time. */
async function goOn(deps: ScheduleDeps, id: string): Promise<void> {
  const { store, clock } = deps
  await store.db.transaction().execute(async (trx) => {
    const row = await lockSchedule(trx, id)
    const [first] = await waitingFires(trx, id)
    if (row === undefined || first === undefined || (await openTasksOf(trx, id)).length > 0) return
    const { state, message = null, taskId = null } = await order(trx, deps, row)
    const now = new Date(clock.now())
    await settleFire(trx, first, { state, message, task_id: taskId, fired_at: now })
  })
}

/** Before the transaction that orders the next one: ending a task is one of its own. */
async function cancelPrevious(deps: ScheduleDeps, id: string): Promise<void> {
  const { db } = deps.store
  const row = await getSchedule(db, id)
  if (row?.overlap !== 'cancel_previous' || row.created_by === null) return
  const caller = { keyId: row.created_by, name: `schedule ${row.name}`, scopes: [] }
  for (const task of await openTasksOf(db, id)) await deps.cancel(task, caller)
}
