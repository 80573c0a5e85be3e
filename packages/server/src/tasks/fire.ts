import type { Log } from '../log.ts'
import { AgentRefused } from '../sessions/agents.ts'
import { EnvironmentRefused } from '../sessions/environments.ts'
import {
  insertFire,
  openTasksOf,
  readyToGoOn,
  settleFire,
  waitingFires,
} from '../store/schedule-fires.ts'
import { dueSchedules, lockSchedule, setNext } from '../store/schedules.ts'
import type { ScheduleRow, TaskRow, Trx } from '../store/tables.ts'
import { getTask } from '../store/tasks.ts'
import { cancelWithin } from './cancel.ts'
import { eachDue } from './each-due.ts'
import { countEnd } from './end.ts'
import { callerOf, orderOf, type ScheduleDeps, ScheduleRefused } from './schedule-order.ts'
import { nextOf, timesOf } from './schedule-times.ts'

/** Schedules that fire at once; the rest follows a second later. */
const dueMax = 100
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
  const each = { clock, log, what: 'a schedule' }
  const due = await dueSchedules(store.db, { now, limit: dueMax })
  await eachDue(due, (id) => fire(deps, id), each)
  await eachDue(await readyToGoOn(store.db, dueMax), (id) => goOn(deps, id), each)
}

async function fire(deps: ScheduleDeps, id: string): Promise<void> {
  const { store, clock, metrics } = deps
  const ended = await store.db.transaction().execute(async (trx) => {
    const row = await lockSchedule(trx, id)
    const now = new Date(clock.now())
    // Somebody else fired it, or changed it, meanwhile.
    if (row?.next_at == null || row.next_at > now) return []
    return fireTimes(trx, deps, { row, now, heldBack: false })
  })
  for (const task of ended) countEnd(metrics, task)
}

/** A schedule that the caller has locked, and the moment. */
interface Moment {
  readonly row: ScheduleRow
  readonly now: Date
}

/**
 * Fires the times that have come, by the schedule's policies, and sets the next one. `heldBack`: also
 * those that their jitter holds back, at once. Answers the tasks that were ended for the next one, to
 * be counted once that is committed.
 */
export async function fireTimes(
  trx: Trx,
  deps: ScheduleDeps,
  { row, now, heldBack }: Moment & { readonly heldBack: boolean },
): Promise<TaskRow[]> {
  const times = timesOf(row, { now, heldBack })
  const last = times.at(-1)
  if (last === undefined) return []
  const at = { scheduleId: row.id, firedAt: now, isManual: false }
  const ended: TaskRow[] = []
  for (const { time, isWanted } of wantedOf(row, times)) {
    const { cancelled = [], ...what } = isWanted ? await outcome(trx, deps, row) : missed
    ended.push(...cancelled)
    await insertFire(trx, { ...at, scheduledAt: time, ...what })
  }
  await setNext(trx, { id: row.id, ...nextOf(row, last.time) })
  return ended
}

/** Writes down that the times which have come are not fired: the schedule is about to be paused. */
export async function forgetTimes(trx: Trx, { row, now }: Moment): Promise<void> {
  const at = { scheduleId: row.id, firedAt: now, isManual: false }
  const message = 'The schedule was paused before that time was fired.'
  for (const { time } of timesOf(row, { now, heldBack: true }))
    await insertFire(trx, { ...at, scheduledAt: time, state: 'missed', message })
}

interface Outcome extends Pick<Parameters<typeof insertFire>[1], 'state' | 'message' | 'taskId'> {
  /** Tasks that were ended for it. */
  readonly cancelled?: readonly TaskRow[]
}

const missed: Outcome = { state: 'missed', message: 'No server was there at that time.' }

/** Which of the times are fired, by the catch-up policy. */
function wantedOf({ catch_up: catchUp }: ScheduleRow, times: ReturnType<typeof timesOf>) {
  const isCaughtUp = (n: number): boolean =>
    catchUp === 'all' || (catchUp === 'last' && n === times.length - 1)
  return times.map(({ time, isMissed }, n) => ({ time, isWanted: !isMissed || isCaughtUp(n) }))
}

/** What comes of a time, by the overlap policy. */
async function outcome(trx: Trx, deps: ScheduleDeps, row: ScheduleRow): Promise<Outcome> {
  const open = await openTasksOf(trx, row.id)
  if (row.overlap === 'cancel_previous') {
    const made = await order(trx, deps, row)
    return made.state === 'ordered'
      ? { ...made, cancelled: await cancel(trx, deps, { row, open }) }
      : made
  }
  const ahead = (await waitingFires(trx, row.id)).length
  if (open.length === 0 && ahead === 0) return order(trx, deps, row)
  if (row.overlap === 'skip')
    return { state: 'skipped', message: `The task ${open[0] ?? ''} still goes on.` }
  return ahead < waitingMax
    ? { state: 'waiting', message: 'It waits for the task before it.' }
    : { state: 'skipped', message: `${waitingMax} wait already.` }
}

/** Makes the task; why not, when the order or its key is good no more. */
async function order(trx: Trx, deps: ScheduleDeps, row: ScheduleRow): Promise<Outcome> {
  const caller = row.created_by === null ? null : await callerOf(trx, row.created_by)
  if (caller === null)
    return { state: 'refused', message: 'The key that made the schedule was revoked.' }
  try {
    const task = await deps.create(trx, orderOf(deps.policy, row.order), caller)
    return { state: 'ordered', taskId: task.id }
  } catch (error) {
    // Each is thrown before anything was written.
    if (error instanceof ScheduleRefused) {
      const said = error.fields.map(({ field, message }) => `${field}: ${message}`)
      return { state: 'refused', message: said.join('; ') }
    }
    if (error instanceof AgentRefused || error instanceof EnvironmentRefused)
      return { state: 'refused', message: error.message }
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

/**
 * Cancels the tasks before the one that was just ordered, in the same transaction and under the
 * schedule's lock: whoever is slower than another node never sees, and ends, what that one ordered.
 * Answers those that ended at once.
 */
async function cancel(
  trx: Trx,
  deps: ScheduleDeps,
  { row, open }: { readonly row: ScheduleRow; readonly open: readonly string[] },
): Promise<TaskRow[]> {
  const tasks = (await Promise.all(open.map((id) => getTask(trx, id)))).filter((task) => !!task)
  // The work of all of them, before the first task: see `WorkQueue`.
  for (const { session_id: sessionId } of tasks) await deps.queue.expedite(trx, sessionId)
  const by = `schedule ${row.name}`
  const ended: TaskRow[] = []
  for (const { id } of tasks) {
    const { justEnded } = await cancelWithin(trx, deps, { id, by })
    if (justEnded !== undefined) ended.push(justEnded)
  }
  return ended
}
