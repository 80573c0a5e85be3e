import type { Scope } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import { countKeys, insertKey } from '../store/keys.ts'
import type { Store } from '../store/open.ts'
import { hashKey, mintKey } from './keys.ts'

const everyScope: readonly Scope[] = ['*']

/** Makes a key, of every scope unless told, and answers it: the one time that anybody sees it. */
export async function createKey(
  { store, clock }: { readonly store: Pick<Store, 'db'>; readonly clock: Clock },
  { name, scopes = everyScope }: { readonly name: string; readonly scopes?: readonly Scope[] },
): Promise<string> {
  const { id, key, hash } = mintKey(clock)
  const now = new Date(clock.now())
  await insertKey(store.db, { id, hash, name, scopes, createdBy: null, now })
  return key
}

/**
 * Sees to it that somebody can use the server: the operator's LONGHAUL_API_KEY is known, or, when
 * there is no key at all, one is minted and answered. Null: there was nothing to mint.
 */
export async function ensureFirstKey(
  { store, clock }: { readonly store: Pick<Store, 'db'>; readonly clock: Clock },
  given: string | null,
): Promise<string | null> {
  if (given === null) {
    return (await countKeys(store.db)) === 0 ? createKey({ store, clock }, { name: 'first' }) : null
  }
  await insertKey(store.db, {
    id: newId('key', clock),
    hash: hashKey(given),
    name: 'LONGHAUL_API_KEY',
    scopes: everyScope,
    createdBy: null,
    now: new Date(clock.now()),
  })
  return null
}
