import type { MiddlewareHandler } from 'hono'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { findKeyByHash, touchKey } from '../store/keys.ts'
import type { Store } from '../store/open.ts'
import type { AppEnv } from './env.ts'
import { refusals } from './errors.ts'
import { hashKey, keyOf, sameHash } from './keys.ts'

/** The routes that need no key: what a load balancer and a monitor ask. */
const openPaths: ReadonlySet<string> = new Set(['/livez', '/readyz', '/health'])

/**
 * Lets a request through when its key is known and not revoked, and says whose it is. Unknown
 * routes need a key as well, so that nobody can map the server without one.
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
    })
    if (key === null) throw refusals.keyMissing()
    c.set('caller', await callerOf(o, key))
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
