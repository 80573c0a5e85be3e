import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Meter } from './meter.ts'
import type { Denial, GatewayHooks, GatewayPolicy } from './policy.ts'
import type { Lookup } from './resolve.ts'

/** What every route of one gateway works with. */
export interface RouteContext {
  readonly policy: GatewayPolicy
  readonly hooks: GatewayHooks
  readonly meter: Meter
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly lookup?: Lookup
  /** Aborts when the gateway closes. */
  readonly signal: AbortSignal
  readonly denied: (denial: Denial) => void
}

/** Reports that reach the owner; a loop in the sandbox must not flood the session's log. */
const denialsPerWindowMax = 30
const windowMs = 60_000

/** Passes denials on, and beyond the bound counts them into one log line a window. */
export function limitDenials(o: {
  onDenied: (denial: Denial) => void
  clock: Clock
  log: Log
}): (denial: Denial) => void {
  let windowStart = o.clock.now()
  let inWindow = 0
  return (denial) => {
    const now = o.clock.now()
    if (now - windowStart >= windowMs) {
      if (inWindow > denialsPerWindowMax)
        o.log.warn({ dropped: inWindow - denialsPerWindowMax }, 'denials were not reported')
      windowStart = now
      inWindow = 0
    }
    inWindow += 1
    if (inWindow <= denialsPerWindowMax) o.onDenied(denial)
  }
}
