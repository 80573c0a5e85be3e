import type { Context } from 'hono'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { App, AppEnv } from './env.ts'
import { type ApiError, refusals } from './errors.ts'

/** What to answer where no route matched: 405 with the methods of the path, or 404. */
export function missingRoute(
  app: App,
  c: Context<AppEnv>,
  scrubber: Scrubber | undefined,
): ApiError {
  const allow = new Set<string>()
  for (const route of app.routes) {
    if (route.method === 'ALL' || !matches(route.path, c.req.path)) continue
    allow.add(route.method)
    if (route.method === 'GET') allow.add('HEAD')
  }
  if (allow.size > 0 && !allow.has(c.req.method))
    return refusals.methodNotAllowed(c.req.method, [...allow].sort())
  // Whole, for its beginning may end within a secret.
  const path = scrubber?.text(c.req.path) ?? c.req.path
  return refusals.notFound(`route ${c.req.method} ${path.slice(0, pathCharsMax)}`)
}

/** Characters of an unknown path that an answer repeats. */
const pathCharsMax = 200

function matches(pattern: string, path: string): boolean {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  return (
    wanted.length === given.length &&
    wanted.every((part, at) => (part.startsWith(':') ? given[at] !== '' : part === given[at]))
  )
}
