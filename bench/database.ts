import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../packages/server/src/clock.ts'
import { createLog } from '../packages/server/src/log.ts'
import { EmbeddedPostgres } from '../packages/server/src/store/embedded.ts'

/** A PostgreSQL of the bench's own, that servers use as an external one. */
export interface Database extends AsyncDisposable {
  readonly url: string
  /** Of its first process. */
  readonly pid: number
}

/** A directory that is removed in the end. */
export async function makeDataDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'longhaul-bench-'))
  await chmod(path, 0o711)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export async function startDatabase(dataDir: string, signal: AbortSignal): Promise<Database> {
  const log = createLog('silent')
  const postgres = await EmbeddedPostgres.start({ log, clock: systemClock, dataDir, signal })
  const { host = '', user, database } = postgres.connection
  const file = await readFile(join(dataDir, 'postgres18', 'postmaster.pid'), 'utf8')
  return {
    url: `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`,
    pid: Number(file.split('\n')[0]),
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  }
}
