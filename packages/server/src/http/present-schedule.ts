import { nextFiresShown, type Schedule, type ScheduleFire } from '@longhaul/client/contract'
import { nextFires } from '../queue/cron.ts'
import type { ScheduleFireRow, ScheduleRow } from '../store/tables.ts'

/** A schedule in the form of `/v1`, with its next times from now on. */
export function presentSchedule(row: ScheduleRow, now: Date): Schedule {
  const timetable = { cron: row.cron, timeZone: row.time_zone }
  const next = row.paused ? [] : nextFires(timetable, now, nextFiresShown)
  return {
    type: 'schedule',
    id: row.id,
    name: row.name,
    cron: row.cron,
    time_zone: row.time_zone,
    order: row.order,
    overlap: row.overlap,
    catch_up: row.catch_up,
    jitter_seconds: row.jitter_seconds,
    paused: row.paused,
    next_fires: next.map((time) => time.toISOString()),
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

export function presentFire(row: ScheduleFireRow): ScheduleFire {
  return {
    type: 'schedule_fire',
    scheduled_at: row.scheduled_at.toISOString(),
    fired_at: row.fired_at.toISOString(),
    is_manual: row.is_manual,
    state: row.state,
    message: row.message,
    task_id: row.task_id,
  }
}
