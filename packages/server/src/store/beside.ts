import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { connectionAt, pgdataOf } from './embedded.ts'
import { readPidFile } from './embedded-pid.ts'
import { openStore, type Store, type StoreOptions } from './open.ts'
import type { Tables } from './tables.ts'

const connectMsMax = 5000

/**
 * The database of a data directory, for a command that is run beside its server: the running one,
 * without taking the directory's lock; or, when no server runs, one opened for as long as needed.
 */
export async function openBeside(o: StoreOptions): Promise<Pick<Store, 'db'> & AsyncDisposable> {
  const running = await connectRunning(o)
  return running ?? openStore(o)
}

/** Null: nothing answers there, or no server has ever made its tables. */
async function connectRunning({ dataDir, databaseUrl }: StoreOptions) {
  const file = databaseUrl ? null : await readPidFile(pgdataOf(dataDir))
  if (!databaseUrl && !file?.socketDir) return null
  const pool = new pg.Pool({
    ...(databaseUrl ? { connectionString: databaseUrl } : connectionAt(file?.socketDir ?? '')),
    max: 1,
    connectionTimeoutMillis: connectMsMax,
  })
  try {
    await pool.query('select 1 from keys limit 1')
  } catch {
    // `openStore` finds out why, and says it.
    await pool.end()
    return null
  }
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  return { db, [Symbol.asyncDispose]: () => db.destroy() }
}
