import type { MiddlewareHandler } from 'hono'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { findKeyByHash, touchKey } from '../store/keys.ts'
import type { Store } from '../store/open.ts'
import type { AppEnv } from './env.ts'
import { refusals } from './errors.ts'
import { hashKey, keyOf, sameHash } from './keys.ts'
import { allows, scopeOf } from './scopes.ts'

/** The routes that need no key: what a load balancer and a monitor ask. */
const openPaths: ReadonlySet<string> = new Set(['/livez', '/readyz', '/health'])

/**
 * Lets a request through when its key is known, not revoked and has the scope, and says whose it is.
 * Unknown routes need a key as well, so that nobody can map the server without one.
 */
export function authenticate(o: {
  readonly store: Store
  readonly clock: Clock
}): MiddlewareHandler<AppEnv> {
  return async function authenticate(c, next) {
    if (openPaths.has(c.req.path)) return next()
    const key = keyOf({
      authorization: c.req.header('authorization'),
      apiKey: c.req.header('x-api-key'),
      protocols: c.req.header('sec-websocket-protocol'),
    })
    if (key === null) throw refusals.keyMissing()
    const caller = await callerOf(o, key)
    c.set('caller', caller)
    const { scopes } = caller
    const needed = scopeOf(c.req)
    if (!allows(scopes, needed)) throw refusals.scopeMissing(needed, scopes)
    return next()
  }
}

async function callerOf(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  key: string,
): Promise<Caller> {
  const hash = hashKey(key)
  const row = await findKeyByHash(store.db, hash)
  if (!row || !sameHash(row.hash, hash)) throw refusals.keyUnknown()
  await touchKey(store.db, { id: row.id, now: new Date(clock.now()) })
  return { keyId: row.id, name: row.name, scopes: row.scopes }
}
