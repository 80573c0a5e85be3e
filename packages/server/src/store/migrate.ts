import { type Kysely, sql } from 'kysely'
import type { Log } from '../log.ts'
import { initial } from './migrations/0001-initial.ts'
import { kept } from './migrations/0002-kept.ts'
import { taskSearch } from './migrations/0003-task-search.ts'
import { repositories } from './migrations/0004-repositories.ts'
import { agents } from './migrations/0005-agents.ts'
import { messages } from './migrations/0006-messages.ts'
import { readers } from './migrations/0007-readers.ts'
import { repositoryCase } from './migrations/0008-repository-case.ts'
import { audit } from './migrations/0009-audit.ts'
import { environments } from './migrations/0010-environments.ts'
import { approvals } from './migrations/0014-approvals.ts'
import { workers } from './migrations/0015-workers.ts'
import { checkpoints } from './migrations/0016-checkpoints.ts'
import { spending } from './migrations/0017-spending.ts'
import { schedules } from './migrations/0018-schedules.ts'
import { endpoints } from './migrations/0019-endpoints.ts'
import { leftPlaces } from './migrations/0020-left-places.ts'
import { listPages } from './migrations/0021-list-pages.ts'
import { quickSearches } from './migrations/0022-quick-searches.ts'
import { failingEndpoints } from './migrations/0023-failing-endpoints.ts'
import { deliveryDates } from './migrations/0024-delivery-dates.ts'
import { endpointsOfTasks } from './migrations/0025-endpoints-of-tasks.ts'
import { errorsOfLogs } from './migrations/0026-errors-of-logs.ts'
import { writersOfDates } from './migrations/0027-writers-of-dates.ts'
import { heldWorkers } from './migrations/0028-held-workers.ts'
import { waitsForDates } from './migrations/0029-waits-for-dates.ts'
import { removedRecordings } from './migrations/0030-removed-recordings.ts'
import { receivers } from './migrations/0031-receivers.ts'
import { usageIds } from './migrations/0032-usage-ids.ts'
import type { Tables } from './tables.ts'

/** One step of the schema; never changed once released. */
interface Migration {
  readonly name: string
  /** SQL statements, separated by semicolons. */
  readonly sql: string
}

const migrations: readonly Migration[] = [
  initial,
  kept,
  taskSearch,
  repositories,
  agents,
  messages,
  readers,
  repositoryCase,
  audit,
  environments,
  approvals,
  workers,
  checkpoints,
  spending,
  schedules,
  endpoints,
  leftPlaces,
  listPages,
  quickSearches,
  failingEndpoints,
  deliveryDates,
  endpointsOfTasks,
  errorsOfLogs,
  writersOfDates,
  heldWorkers,
  waitsForDates,
  removedRecordings,
  receivers,
  usageIds,
]

/** One key for every server of a database: they migrate one after the other. */
const lockKey = 6_014_302_011
/** A server waits for another's migration, and a migration runs, at most this long. */
const migrationMsMax = 600_000

/**
 * Brings the schema up to date. Each migration is one transaction that holds an advisory lock, so
 * any number of servers may start at once and a killed one leaves nothing half done. Throws an Error
 * with one sentence when the database is newer than this program.
 */
export async function migrate(db: Kysely<Tables>, log: Log): Promise<void> {
  await rejectNewer(db)
  for (const migration of migrations)
    if (await apply(db, migration)) log.info({ migration: migration.name }, 'database migrated')
}

function apply(db: Kysely<Tables>, migration: Migration): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    await sql`select set_config('statement_timeout', ${String(migrationMsMax)}, true)`.execute(trx)
    await sql`select pg_advisory_xact_lock(${lockKey})`.execute(trx)
    await sql`create table if not exists migrations (
      name text primary key,
      applied_at timestamptz not null default now()
    )`.execute(trx)
    const { rows } = await sql`select 1 from migrations where name = ${migration.name}`.execute(trx)
    if (rows.length > 0) return false
    await sql.raw(migration.sql).execute(trx)
    await sql`insert into migrations (name) values (${migration.name})`.execute(trx)
    return true
  })
}

async function rejectNewer(db: Kysely<Tables>): Promise<void> {
  const table = await sql<{ found: boolean }>`
    select to_regclass('migrations') is not null as found`.execute(db)
  if (table.rows[0]?.found !== true) return
  const { rows } = await sql<{ name: string }>`select name from migrations`.execute(db)
  const unknown = rows.find((row) => !migrations.some((known) => known.name === row.name))
  if (unknown)
    throw new Error(
      `The database was migrated by a newer Longhaul (${unknown.name}): start that version, or restore a backup.`,
    )
}
