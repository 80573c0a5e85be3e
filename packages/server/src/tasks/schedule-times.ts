import { createHash } from 'node:crypto'
import type { ScheduleContent } from '@longhaul/client/contract'
import { firesUpTo, nextFires } from '../queue/cron.ts'
import type { Next } from '../store/schedules.ts'
import type { ScheduleRow } from '../store/tables.ts'

/** A time is missed when nobody was there for so long after it was due. */
const graceMs = 60_000
/** Times that are caught up, or written down as missed; earlier ones are forgotten. */
const timesMax = 100

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

/**
 * The times that have come by `now` and were not fired yet, the earliest first. One that its jitter
 * holds back holds back those after it; `heldBack`: those are among them.
 */
export function timesOf(
  row: ScheduleRow,
  o: { readonly now: Date; readonly heldBack: boolean },
): { readonly time: Date; readonly isMissed: boolean }[] {
  const { next_scheduled_at: from, cron, time_zone: timeZone } = row
  if (from === null || from > o.now) return []
  const now = o.now.getTime()
  let dueMs = 0
  return firesUpTo({ cron, timeZone }, { from, now: o.now, max: timesMax })
    .map((time) => {
      // One that waited for the time before it is not late: it was due with that.
      dueMs = Math.max(dueMs, time.getTime() + jitterMsOf(row, time))
      return { time, dueMs }
    })
    .filter((each) => o.heldBack || each.dueMs <= now)
    .map((each) => ({ time: each.time, isMissed: now - each.dueMs > graceMs }))
}

/** The same for a time on every node, and another one each time. */
function jitterMsOf(
  { id, jitter_seconds: seconds }: { readonly id: string; readonly jitter_seconds: number },
  time: Date,
): number {
  if (seconds === 0) return 0
  const hash = createHash('sha256').update(`${id} ${time.getTime()}`).digest()
  return hash.readUInt32BE(0) % (seconds * 1000)
}
