import { mkdir, realpath } from 'node:fs/promises'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { EmbeddedPostgres } from './embedded.ts'
import { NodeLock, nodeOf } from './lock.ts'
import { migrate } from './migrate.ts'
import { ScrubbingDialect } from './scrubbing-dialect.ts'
import type { Tables } from './tables.ts'

/** Connections of the whole server, but for the lock and the listeners. */
const connectionsMax = 10
const connectMsMax = 10_000
const statementMsMax = 30_000
/** A database that hangs does not end its statements either: after this, ours is over here. */
const answerMsMax = 40_000
/**
 * A transaction that does nothing this long is a mistake, or its process is stopped; it holds its
 * locks, so it ends before the leases of that process lapse and others need what it has.
 */
const idleInTransactionMsMax = 10_000
const pingMsMax = 5000
/** Statements that still run when the store closes get this long. */
const drainMsMax = 5000
/** PostgreSQL 16. */
const versionMin = 160_000

export interface Store extends AsyncDisposable {
  readonly db: Kysely<Tables>
  readonly pool: pg.Pool
  /** For clients of their own (LISTEN, pg-boss). With the pool's bounds and parsing of numbers. */
  readonly connection: pg.ClientConfig
  readonly kind: 'embedded' | 'external'
  /** The name of this data directory's node; nobody else has it while the store is open. */
  readonly node: string
  /** Aborts when another server took the data directory over: this one has to end. */
  readonly lost: AbortSignal
  /** One round trip; rejects when the database does not answer in 5 s, or when `signal` aborts. */
  ping(signal: AbortSignal): Promise<void>
}

export interface StoreOptions {
  /** Made if absent. Holds the node's name, and PostgreSQL unless `databaseUrl` is given. */
  readonly dataDir: string
  /** An external PostgreSQL, 16 or newer. */
  readonly databaseUrl?: string | null
  /** Takes secrets out of all that is stored; absent: none is known. */
  readonly scrubber?: Scrubber
  readonly log: Log
  readonly clock: Clock
  /** Ends the opening. */
  readonly signal: AbortSignal
}

/**
 * Opens the database: PostgreSQL in the data directory or at `databaseUrl`, the lock of the data
 * directory, and the schema up to date. Throws an Error with one sentence for what a person has to
 * mend. Disposing stops an embedded PostgreSQL, adopted or not.
 */
export async function openStore(o: StoreOptions): Promise<Store> {
  await mkdir(o.dataDir, { recursive: true, mode: 0o711 })
  const dataDir = await realpath(o.dataDir)
  await using opened = new AsyncDisposableStack()
  const embedded = o.databaseUrl ? null : await EmbeddedPostgres.start({ ...o, dataDir })
  const connection = (): pg.ClientConfig => ({
    ...(embedded?.connection ?? { connectionString: o.databaseUrl ?? '' }),
    ...bounds,
    types: { getTypeParser },
  })
  if (embedded === null) await reach(connection())
  const node = await nodeOf(dataDir)
  const lock = await NodeLock.acquire({ ...o, dataDir, node, connection, embedded }, o.signal)
  // Only who has the lock may stop PostgreSQL: otherwise it is another server's.
  opened.use(lock)
  if (embedded) opened.use(embedded)
  opened.defer(() => lock.stopWatching())
  const pool = openPool(connection(), o.log)
  const scrubber = o.scrubber ?? new Scrubber([])
  const db = new Kysely<Tables>({ dialect: new ScrubbingDialect({ pool }, { scrubber, node }) })
  opened.defer(() => drain(db, o))
  await bringUpToDate(connection(), o.log)

  const closing = opened.move()
  return {
    db,
    pool,
    get connection() {
      return connection()
    },
    kind: embedded ? 'embedded' : 'external',
    node,
    lost: lock.lost,
    ping: (signal) => ping(pool, AbortSignal.any([signal, lock.lost])),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Says which setting is wrong when nobody answers where it points. */
async function reach(connection: pg.ClientConfig): Promise<void> {
  const client = new pg.Client(connection)
  try {
    await client.connect()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`The database of DATABASE_URL cannot be reached: ${why}.`, { cause: error })
  } finally {
    await client.end().catch(() => undefined) // It never began.
  }
}

/** Nothing that is asked of the database is waited for without end. */
const bounds = {
  connectionTimeoutMillis: connectMsMax,
  statement_timeout: statementMsMax,
  query_timeout: answerMsMax,
  idle_in_transaction_session_timeout: idleInTransactionMsMax,
  keepAlive: true,
} as const

function openPool(connection: pg.ClientConfig, log: Log): pg.Pool {
  const pool = new pg.Pool({
    ...connection,
    application_name: 'longhaul',
    max: connectionsMax,
  })
  pool.on('error', (error) => log.warn({ err: error }, 'an idle database connection broke'))
  // One that is checked out between two statements has no listener of the pool's: without this the
  // process would end with the connection. The next statement on it rejects, which is enough.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

async function ping(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const limit = AbortSignal.any([signal, AbortSignal.timeout(pingMsMax)])
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(limit.reason)
  limit.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([pool.query('select 1'), aborted.promise])
  } finally {
    limit.removeEventListener('abort', onAbort)
  }
}

/** With a pool of its own: a migration may take longer than anything else, and sets its own limit. */
async function bringUpToDate(connection: pg.ClientConfig, log: Log): Promise<void> {
  const pool = openPool({ ...connection, query_timeout: 0 }, log)
  await using db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  await checkVersion(db)
  await migrate(db, log)
}

async function checkVersion(db: Kysely<Tables>): Promise<void> {
  const { rows } = await sql<{ version: number }>`
    select current_setting('server_version_num')::int as version`.execute(db)
  const version = rows[0]?.version ?? 0
  if (version < versionMin)
    throw new Error(
      `The database is PostgreSQL ${Math.floor(version / 10_000)}, and Longhaul needs 16 or newer.`,
    )
}

/** Waits for the statements that run, but not for ever: the rest ends with its connection. */
async function drain(db: Kysely<Tables>, o: StoreOptions): Promise<void> {
  const enough = new AbortController()
  const limit = o.clock.sleep(drainMsMax, enough.signal).then(
    () => o.log.warn('statements still run while the store closes'),
    () => {}, // Drained in time.
  )
  await Promise.race([db.destroy().finally(() => enough.abort()), limit])
}

const int8 = pg.types.builtins.INT8
const numeric = pg.types.builtins.NUMERIC

/**
 * Counts and sums as numbers. Exact here: event numbers, bytes and positions stay far below 2^53,
 * and costs are shown to a few digits. For our connections only, not for every user of `pg`.
 */
const getTypeParser: typeof pg.types.getTypeParser = (id: number, format?: 'text' | 'binary') =>
  format !== 'binary' && (id === int8 || id === numeric)
    ? Number
    : pg.types.getTypeParser(id, format)
