import { Cron } from 'croner'

/** When a schedule fires: a cron expression of five fields, read in a time zone. */
export interface Timetable {
  readonly cron: string
  readonly timeZone: string
}

/**
 * What is wrong with a timetable, null if nothing is. At the change of clocks: a time that a day does
 * not have comes at the first moment after the gap, one that it has twice comes once, the first time.
 */
export function timetableProblem({ cron, timeZone }: Timetable): TimetableProblem | null {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch {
    return { field: 'time_zone', message: 'expected a time zone such as Europe/Berlin' }
  }
  try {
    if (read({ cron, timeZone }).nextRun() !== null) return null
    return { field: 'cron', message: 'expected an expression that comes to pass, this never does' }
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).replace(/^\w+: /, '')
    return { field: 'cron', message: `expected a cron expression of five fields: ${why}` }
  }
}

export interface TimetableProblem {
  readonly field: 'cron' | 'time_zone'
  readonly message: string
}

/** The next times after a moment, the earliest first. */
export function nextFires(timetable: Timetable, after: Date, count: number): Date[] {
  return read(timetable).nextRuns(count, after)
}

/** The latest `max` times up to and with `now`, not before `from`, the earliest first. */
export function firesUpTo(
  timetable: Timetable,
  { from, now, max }: { readonly from: Date; readonly now: Date; readonly max: number },
): Date[] {
  // Croner looks strictly before, in whole seconds.
  const after = new Date(Math.floor(now.getTime() / 1000) * 1000 + 1000)
  return read(timetable)
    .previousRuns(max, after)
    .filter((time) => time >= from && time <= now)
    .toSorted((a, b) => a.getTime() - b.getTime())
}

/** Paused: croner only tells times, it starts nothing. */
function read({ cron, timeZone }: Timetable): Cron {
  return new Cron(cron, { mode: '5-part', timezone: timeZone, paused: true })
}
