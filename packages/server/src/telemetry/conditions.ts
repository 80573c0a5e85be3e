import type { Clock } from '../clock.ts'
import { ClockSteps } from '../clock.ts'
import type { Condition } from './alerts.ts'

/** An alert about the clock stays this long: what it put out of order shows by then. */
const jumpedMs = 15 * 60_000

/** Everything of this server that raises an alert; docs/alerts.md says what follows from each. */
export function conditionsOf(o: {
  /** Age of the oldest work that could start, in milliseconds; null: none waits. */
  readonly oldestWaitMs: () => Promise<number | null>
  /** QUEUE_WAIT_ALERT_MINUTES; 0: however long work waits. */
  readonly queueWaitMs: number
  readonly disk: () => Promise<{ readonly problem: string | null }>
  /** Null: this process begins no tasks. */
  readonly memory: () => { readonly problem: string | null } | null
  readonly isAuditBehind: () => boolean
  /** Until when nobody asks the model, in epoch milliseconds; null: everybody may. */
  readonly modelLimitedUntil: () => number | null
  /** Endpoints that were disabled since nothing arrived there. */
  readonly givenUpEndpoints: () => Promise<{
    readonly ids: readonly string[]
    readonly count: number
  }>
  readonly clock: Clock
}): readonly Condition[] {
  return [
    queueWaiting(o),
    {
      name: 'disk_floor',
      level: 'warn',
      fix: 'Free space on the disk of DATA_DIR, enlarge it, or lower DISK_FLOOR_MIB.',
      look: async () => (await o.disk()).problem,
    },
    {
      name: 'memory_floor',
      level: 'warn',
      fix: 'Free memory on this host, give it more, or lower TASK_CONCURRENCY, SANDBOX_MEMORY_MIB or MEMORY_FLOOR_MIB.',
      look: () => o.memory()?.problem ?? null,
    },
    {
      name: 'audit_behind',
      level: 'error',
      fix: 'Look whether PostgreSQL answers and has room; what waits is written as soon as it does.',
      look: () =>
        o.isAuditBehind()
          ? 'The audit cannot be written as fast as things are decided: nothing is let out of any sandbox until it is.'
          : null,
    },
    {
      name: 'model_limited',
      level: 'warn',
      fix: 'Wait, raise the quota at the provider, or lower TASK_CONCURRENCY.',
      look: () => modelLimited(o.modelLimitedUntil()),
    },
    {
      name: 'endpoint_failing',
      level: 'warn',
      fix: 'Mend the receiver, enable it (POST /v1/endpoints/{id} {"disabled": false}), and send again what is dead; or delete it.',
      look: async () => endpointFailing(await o.givenUpEndpoints()),
    },
    clockJumped(o.clock),
  ]
}

function queueWaiting(o: {
  readonly oldestWaitMs: () => Promise<number | null>
  readonly queueWaitMs: number
}): Condition {
  return {
    name: 'queue_waiting',
    level: 'warn',
    fix: 'Raise TASK_CONCURRENCY if the host has room, or start another server on the same database; look at the other alerts for what holds tasks back.',
    look: async () => {
      const waitMs = o.queueWaitMs === 0 ? null : await o.oldestWaitMs()
      if (waitMs === null || waitMs < o.queueWaitMs) return null
      const waits = `The oldest task that could start has waited for ${minutes(waitMs)}`
      return `${waits}, longer than QUEUE_WAIT_ALERT_MINUTES (${o.queueWaitMs / 60_000}).`
    },
  }
}

function modelLimited(until: number | null): string | null {
  if (until === null) return null
  const at = new Date(until).toISOString()
  return `The model’s provider answered several times in a row that it has no capacity: no session asks it before ${at}.`
}

function endpointFailing(o: { readonly ids: readonly string[]; readonly count: number }) {
  if (o.count === 0) return null
  const more = o.count > o.ids.length ? `, and ${o.count - o.ids.length} more` : ''
  const what = 'Nothing arrived for five days, and nothing more is told to'
  return `${what} ${o.ids.join(', ')}${more}.`
}

/** Our own notice of the clock, beside those of the attempts that were running then. */
function clockJumped(clock: Clock): Condition {
  const steps = new ClockSteps(clock)
  let last: { readonly message: string; readonly at: number } | null = null
  return {
    name: 'clock_jumped',
    level: 'error',
    fix: 'Let chrony or systemd-timesyncd slew the clock instead of setting it, and do not suspend the machine. Look at approvals, budgets of days and schedules that fell into the gap.',
    look: () => {
      const stepMs = steps.look()
      if (stepMs !== 0) last = { message: jumpSentence(stepMs), at: clock.elapsed() }
      return last === null || clock.elapsed() - last.at >= jumpedMs ? null : last.message
    },
  }
}

function jumpSentence(stepMs: number): string {
  const what = `The clock of this host jumped ${Math.abs(Math.round(stepMs / 1000))} s`
  return stepMs > 0
    ? `${what} forward: it was set, or the machine stood still. What has a date came due early.`
    : `${what} back: it was set. What has a date comes due late.`
}

function minutes(ms: number): string {
  const count = Math.floor(ms / 60_000)
  return count === 1 ? '1 minute' : `${count} minutes`
}
