import { createHash } from 'node:crypto'
import type { Parking } from '../tasks/park.ts'
import type { Progress } from '../tasks/progress.ts'
import type { Cause } from './ending.ts'

/** A wait up to this is waited for where the task is; a longer one gives up the slot. */
export const quotaWaitMsMin = 2 * 60_000
/** Where the provider does not say when it is back; each wait is twice the one before. */
const waitMs = { first: 5 * 60_000, max: 60 * 60_000 } as const
/** Tasks that wait for the same moment do not all come back at it. */
const jitterMs = 60_000

/**
 * Why an attempt stops because the provider has no quota left: parked until that is back, and failed
 * when all its waits together would be longer than `waitMsMax`. The work between two waits does not
 * count: with windows of five hours a task that works for a day waits several times.
 */
export function quotaCause(o: {
  readonly sessionId: string
  readonly progress: Progress
  /** When the provider is back, in epoch milliseconds; null: it did not say. */
  readonly reset: number | null
  /** Whether it named that moment, and no time to wait. */
  readonly isDate?: boolean
  readonly now: number
  readonly waitMsMax: number
}): Cause {
  const { sessionId, progress, now, waitMsMax, isDate = false } = o
  const { waits, waitedMs } = progress.quota ?? { waits: 0, waitedMs: 0 }
  const grown = Math.min(waitMs.first * 2 ** waits, waitMs.max)
  const until = (o.reset ?? now + grown) + jitterOf(sessionId)
  const at = new Date(until).toISOString()
  const totalMs = waitedMs + until - now
  if (totalMs > waitMsMax) {
    const hours = waitMsMax / 3_600_000
    const message = `The model’s provider has no quota left until ${at}, and a task waits for it at most ${hours} hours in all (QUOTA_WAIT_MAX_HOURS).`
    return { kind: 'failed', reason: 'quota_exhausted', message }
  }
  const parking: Parking = {
    reason: 'waiting_quota',
    message: `The model’s provider has no quota left; the task goes on at ${at}.`,
    until: new Date(until),
    isDate,
    progress: { quota: { waits: waits + 1, waitedMs: totalMs } },
  }
  return { kind: 'parked', parking }
}

/** Up to a minute: the same for a session each time, and spread over all of them. */
export function jitterOf(sessionId: string): number {
  return createHash('sha256').update(sessionId).digest().readUInt32BE(0) % jitterMs
}
