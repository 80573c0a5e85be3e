import type { EnvironmentContent } from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Clock } from '../clock.ts'
import { isSame } from '../sessions/environments.ts'
import {
  getDefaultEnvironment,
  insertEnvironment,
  insertNextVersion,
} from '../store/environments.ts'
import type { Store } from '../store/open.ts'

/** The same in every installation. */
const seededId = `env_${'1'.padStart(26, '0')}`

/** What tasks run in that name nothing else: the walls, with package registries behind them. */
export const defaultEnvironment: EnvironmentContent = {
  name: 'default',
  description: 'Package registries and the operator’s MCP servers; the limits of the server.',
  config: {
    type: 'cloud',
    networking: {
      type: 'limited',
      allowed_hosts: [],
      allow_package_managers: true,
      allow_mcp_servers: true,
    },
    packages: { npm: [] },
    allow_model_fetch: false,
  },
  limits: {
    memory_mib: null,
    cpus: null,
    processes: null,
    open_files: null,
    tmp_mib: null,
    disk_mib: null,
  },
  secrets: [],
  metadata: {},
}

/**
 * Stores the default environment. Where the program's has changed since, it becomes the next version,
 * unless an operator made the newest one: that stays.
 */
export function seedEnvironment({
  store,
  clock,
}: {
  readonly store: Store
  readonly clock: Clock
}): Promise<void> {
  return store.db.transaction().execute(async (trx) => {
    // Servers that start at once seed one after the other.
    await sql`select pg_advisory_xact_lock(hashtextextended('longhaul seed environment', 0))`.execute(
      trx,
    )
    const now = new Date(clock.now())
    const made = { id: seededId, content: defaultEnvironment, createdBy: null, now }
    const newest = await getDefaultEnvironment(trx)
    if (newest === undefined) await insertEnvironment(trx, { ...made, isDefault: true })
    else if (newest.created_by === null && !isSame(newest.content, made.content))
      await insertNextVersion(trx, made)
  })
}
