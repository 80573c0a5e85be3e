import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { appendFile, chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import type { Scrubber } from '../../src/scrub/scrubber.ts'
import { connectionAt, EmbeddedPostgres, pgdataOf } from '../../src/store/embedded.ts'
import { findBinaries } from '../../src/store/embedded-binaries.ts'
import { openStore, type Store } from '../../src/store/open.ts'
import { seedAgents } from '../../src/tasks/seed-agents.ts'
import { seedEnvironment } from '../../src/tasks/seed-environment.ts'

/** A directory that is removed with everything in it; others may pass through, as in production. */
export interface TestDirectory extends AsyncDisposable {
  readonly path: string
}

export async function makeDirectory(): Promise<TestDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'lh-'))
  await chmod(path, 0o711)
  const stdio = ['pipe', 'ignore', 'inherit'] as const
  const guard = spawn('sh', ['-c', cleanUp, 'guard', path], { stdio: [...stdio], detached: true })
  const exited = once(guard, 'exit')
  return {
    path,
    async [Symbol.asyncDispose]() {
      guard.stdin?.end()
      await exited
    },
  }
}

/**
 * Waits until its standard input ends, with the test or with the test's process, however that ends;
 * then stops every PostgreSQL below the directory, unmounts what a killed server had there, and
 * removes it. A test that is killed leaves nothing behind.
 */
const cleanUp = `
  cat > /dev/null
  for file in "$1"/postgres18/postmaster.pid "$1"/*/postgres18/postmaster.pid; do
    test -e "$file" || continue
    kill -INT "$(head -n 1 "$file")"
    for n in 1 2 3 4 5 6 7 8 9 10; do test -e "$file" && sleep 0.2; done
  done
  while read -r _ _ _ _ at _; do
    case "$at" in "$1"/*) umount -l "$at" ;; esac
  done < /proc/self/mountinfo
  rm -rf "$1"
`

/**
 * Puts a new PostgreSQL directory into `dataDir`: a copy of one that is made once and kept below
 * node_modules, because initdb takes seconds on a busy disk.
 */
export async function seedPostgres(dataDir: string): Promise<void> {
  const version = execFileSync((await findBinaries()).postgres, ['--version']).toString()
  const name = `${version.trim().replace(/\W+/g, '-')}-${process.getuid?.()}`
  const kept = join(cacheDir, name)
  if (!existsSync(kept)) {
    await using directory = await makeDirectory()
    const shared = { log: createLog('silent'), clock: systemClock }
    const signal = AbortSignal.timeout(60_000)
    const server = await EmbeddedPostgres.start({ ...shared, dataDir: directory.path, signal })
    await server[Symbol.asyncDispose]()
    await mkdir(cacheDir, { recursive: true })
    const draft = join(cacheDir, randomUUID())
    execFileSync('cp', ['-a', join(directory.path, 'postgres18'), draft])
    // Another test file was faster: its copy is as good.
    await rename(draft, kept).catch(() => rm(draft, { recursive: true }))
  }
  execFileSync('cp', ['-a', kept, join(dataDir, 'postgres18')])
}

const cacheDir = fileURLToPath(new URL('../../../../node_modules/.cache/longhaul', import.meta.url))

/** A real PostgreSQL of a test file: made in a temporary directory, stopped and removed at the end. */
export interface TestPostgres extends AsyncDisposable {
  /** A fresh database, as a `DATABASE_URL`. */
  createDatabase(): Promise<string>
  /** A store in a fresh database with the seeded agents, as a node of its own; close it before the PostgreSQL. */
  openStore(o?: { readonly databaseUrl?: string; readonly scrubber?: Scrubber }): Promise<Store>
}

/**
 * `await using postgres = await startPostgres()` in a test, or once a file in `before` with
 * `postgres[Symbol.asyncDispose]()` in `after`.
 */
export async function startPostgres(): Promise<TestPostgres> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(await makeDirectory())
  await seedPostgres(directory.path)
  // Nobody cuts the power of a test; on a busy disk this is most of its time.
  await appendFile(join(directory.path, 'postgres18', 'postgresql.auto.conf'), 'fsync = off\n')
  const shared = {
    log: createLog('silent'),
    clock: systemClock,
    signal: AbortSignal.timeout(60_000),
  }
  const server = stack.use(await EmbeddedPostgres.start({ ...shared, dataDir: directory.path }))
  let made = 0

  async function createDatabase(): Promise<string> {
    made += 1
    const name = `test_${made}`
    await ask(server.connection, `create database ${name}`)
    const { host = '', user } = server.connection
    // The name of a host is what the setting wants; the socket is what counts.
    return `postgres://${user}@localhost/${name}?host=${encodeURIComponent(host)}`
  }

  const closing = stack.move()
  return {
    createDatabase,
    async openStore(o = {}) {
      const databaseUrl = o.databaseUrl ?? (await createDatabase())
      made += 1
      const dataDir = join(directory.path, `node${made}`)
      const store = await openStore({
        ...shared,
        ...(o.scrubber && { scrubber: o.scrubber }),
        dataDir,
        databaseUrl,
        signal: AbortSignal.timeout(60_000),
      })
      await seedAgents({ store, clock: systemClock })
      await seedEnvironment({ store, clock: systemClock })
      return store
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** How to reach the PostgreSQL that a server keeps in its data directory. */
export function storeIn(dataDir: string): pg.ClientConfig {
  return connectionAt(pgdataOf(dataDir))
}

/** Another connection to it. */
export async function connectTo(dataDir: string): Promise<pg.Client> {
  const client = new pg.Client(storeIn(dataDir))
  await client.connect()
  return client
}

/** One statement, over a connection of its own. */
export async function ask<T extends object = Record<string, unknown>>(
  connection: string | pg.ClientConfig,
  statement: string,
  values: readonly unknown[] = [],
): Promise<T[]> {
  const client = new pg.Client(connection)
  await client.connect()
  try {
    return (await client.query<T>(statement, [...values])).rows
  } finally {
    await client.end()
  }
}
