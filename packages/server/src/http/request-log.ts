import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { AppEnv } from './env.ts'

/** A caller may write any other. */
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * Gives every request its id, in the response's header and in one log line with method, route,
 * status, milliseconds and the key's name, and counts it. The route is its pattern: paths hold ids
 * and names.
 */
export function requestLog(o: {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}): MiddlewareHandler<AppEnv> {
  return async function requestLog(c, next) {
    const from = o.clock.now()
    const requestId = newId('req', o.clock)
    c.set('requestId', requestId)
    await next()
    c.res.headers.set('request-id', requestId)
    c.res.headers.set('x-content-type-options', 'nosniff')
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
    const route = matchedRoutes(c).findLast(({ method }) => method !== 'ALL')?.path ?? 'unknown'
    const ms = o.clock.now() - from
    const { method } = c.req
    o.metrics.httpSeconds.observe(
      { method: methods.has(method) ? method : 'other', route, status: c.res.status },
      ms / 1000,
    )
    const caller: AppEnv['Variables']['caller'] | undefined = c.get('caller')
    o.log.info(
      {
        request_id: requestId,
        method,
        route,
        status: c.res.status,
        ms,
        ...(caller && { key: caller.name }),
      },
      'request',
    )
  }
}
