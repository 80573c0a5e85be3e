import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import pg from 'pg'
import type { Clock, Timer } from '../clock.ts'
import type { Log } from '../log.ts'
import { type Binaries, findBinaries } from './embedded-binaries.ts'
import { livesIn, readPidFile, removeStalePidFile } from './embedded-pid.ts'
import {
  chooseIdentity,
  type Identity,
  own,
  prepareIdentity,
  runProgram,
  startProgram,
} from './embedded-run.ts'

/** The PostgreSQL version whose data directory this is; a later one needs a directory of its own. */
const major = '18'
/** Linux's `sun_path` holds 107 bytes and a NUL. */
const socketPathBytesMax = 107
/** From the first try to connect to an answer; replaying the log after a crash counts too. */
const startMsMax = 120_000
/** A PostgreSQL that ends at once, this often in a row, will not start by trying again. */
const failedStartsMax = 12
const retryMs = 100
/** No socket, nobody listens, and a path that is too long for a socket. */
const absentCodes: readonly unknown[] = ['ENOENT', 'ECONNREFUSED', 'EINVAL']
const probeMsMax = 5000
/** PostgreSQL's own log is cut to nothing beyond this: at start, and while it runs. */
const logBytesMax = 8 * 1024 * 1024
const logTrimMs = 600_000
/** Of PostgreSQL's log, what is read to say why it did not start. */
const logTailBytes = 4096

export interface EmbeddedOptions {
  readonly dataDir: string
  readonly log: Log
  readonly clock: Clock
  /** Ends the wait of the first start. */
  readonly signal: AbortSignal
}

/** How to reach an embedded PostgreSQL whose socket is in `socketDir`. */
export function connectionAt(socketDir: string): pg.ClientConfig {
  return { host: socketDir, port: 5432, user: 'longhaul', database: 'postgres' }
}

/** Where the embedded PostgreSQL of a data directory keeps its files. */
export function pgdataOf(dataDir: string): string {
  return join(dataDir, `postgres${major}`)
}

/**
 * PostgreSQL in the data directory, started by us from npm's binaries, or found running there after
 * a `kill -9` of the server before. Reached through a unix socket inside `postgres18`, which only
 * its owner may enter. Disposing stops it.
 */
export class EmbeddedPostgres implements AsyncDisposable {
  readonly #o: EmbeddedOptions
  readonly #pgdata: string
  readonly #logFile: string
  readonly #binaries: Binaries
  readonly #identity: Identity
  #socketDir: string
  #child: ChildProcess | undefined
  #trim: Timer | undefined

  /** Throws an Error with one sentence when PostgreSQL cannot be made or started. */
  static async start(o: EmbeddedOptions): Promise<EmbeddedPostgres> {
    const pgdata = pgdataOf(o.dataDir)
    const identity = await chooseIdentity(pgdata)
    const found = await findBinaries()
    const binaries = await prepareIdentity(identity, {
      binaries: found,
      dataDir: o.dataDir,
      pgdata,
    })
    const embedded = new EmbeddedPostgres(o, { pgdata, identity, binaries })
    if (!existsSync(join(pgdata, 'PG_VERSION'))) await embedded.#create()
    await embedded.#checkVersion()
    try {
      await embedded.ensureRunning(o.signal)
    } catch (error) {
      // The start was given up: what we started must not stay behind.
      embedded.#child?.kill('SIGINT')
      throw error
    }
    await embedded.#removeLeftovers()
    embedded.#keepLogSmall()
    return embedded
  }

  private constructor(
    o: EmbeddedOptions,
    found: { pgdata: string; identity: Identity; binaries: Binaries },
  ) {
    this.#o = o
    this.#pgdata = found.pgdata
    this.#identity = found.identity
    this.#binaries = found.binaries
    this.#socketDir = found.pgdata
    this.#logFile = join(o.dataDir, 'postgres.log')
  }

  /** Where to connect; changes only if PostgreSQL had to be started with another socket. */
  get connection(): pg.ClientConfig {
    return connectionAt(this.#socketDir)
  }

  /**
   * Resolves once PostgreSQL answers, having started it if nothing was there. The only proof is a
   * connection: for a second after a `kill -9` of the postmaster its pid file still looks alive,
   * and a new one refuses to start until the orphans of the old one are gone.
   */
  async ensureRunning(signal: AbortSignal): Promise<void> {
    const deadline = this.#o.clock.now() + startMsMax
    let failedStarts = 0
    for (;;) {
      const answer = await this.#probe()
      if (answer === 'ready') return
      if (answer === 'absent' && !this.#ourChildLives()) {
        if (failedStarts >= failedStartsMax) break
        failedStarts += 1
        await this.#spawn()
      }
      if (this.#o.clock.now() > deadline) break
      // The first looks come quickly; a postmaster that must go first gets longer.
      await this.#o.clock.sleep(Math.min(retryMs * failedStarts, 500) + 20, signal)
    }
    throw new Error(`PostgreSQL in ${this.#pgdata} does not start: ${await this.#lastWords()}`)
  }

  /** Stops PostgreSQL: running transactions are rolled back, what was committed stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#trim?.cancel()
    const stop = ['stop', '-D', this.#pgdata, '-w', '-t', '30', '-m']
    const fast = await runProgram(this.#identity, this.#binaries.pgCtl, [...stop, 'fast'])
    if (fast.exitCode !== 0 && (await livesIn(this.#pgdata))) {
      this.#o.log.warn({ output: fast.output }, 'PostgreSQL did not stop in time, stopping at once')
      await runProgram(this.#identity, this.#binaries.pgCtl, [...stop, 'immediate'])
    }
    if (this.#socketDir !== this.#pgdata)
      await rm(this.#socketDir, { recursive: true, force: true })
  }

  #ourChildLives(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }

  /** `absent`: nothing listens; `busy`: something is there and starts, stops or recovers. */
  async #probe(): Promise<'ready' | 'busy' | 'absent'> {
    // A postmaster that we adopt may listen in a short directory that we did not choose.
    this.#socketDir = (await readPidFile(this.#pgdata))?.socketDir ?? this.#socketDir
    const client = new pg.Client({ ...this.connection, connectionTimeoutMillis: probeMsMax })
    client.on('error', () => {}) // The error that matters is thrown by connect() or query().
    try {
      await client.connect()
      await client.query('select 1')
      return 'ready'
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      return absentCodes.includes(code) ? 'absent' : 'busy'
    } finally {
      await client.end().catch(() => {}) // It may never have been connected.
    }
  }

  async #spawn(): Promise<void> {
    await removeStalePidFile(this.#pgdata)
    this.#socketDir = await this.#chooseSocketDir()
    await this.#trimLog()
    const logFile = await open(this.#logFile, 'a', 0o600)
    try {
      const command = [this.#binaries.postgres, '-D', this.#pgdata, ...settings(this.#socketDir)]
      const child = startProgram(this.#identity, command, logFile.fd)
      child.on('error', (error) => this.#o.log.error({ err: error }, 'PostgreSQL was not started'))
      this.#child = child
    } finally {
      await logFile.close()
    }
  }

  async #chooseSocketDir(): Promise<string> {
    const path = join(this.#pgdata, '.s.PGSQL.5432.lock')
    if (Buffer.byteLength(path) <= socketPathBytesMax) return this.#pgdata
    if (this.#socketDir !== this.#pgdata && existsSync(this.#socketDir)) return this.#socketDir
    const short = await mkdtemp(join(tmpdir(), 'longhaul-pg-'))
    await own(this.#identity, short)
    return short
  }

  /**
   * Makes the data directory under another name and renames it: an initdb that was killed half-way
   * leaves a `PG_VERSION` behind and would look finished. Two servers may do so at once; one wins.
   */
  async #create(): Promise<void> {
    const fresh = `${this.#pgdata}.new-${randomBytes(4).toString('hex')}`
    await mkdir(fresh, { mode: 0o700 })
    try {
      await own(this.#identity, fresh)
      const args = ['-D', fresh, '-U', 'longhaul', '-A', 'trust', '-E', 'UTF8', '--locale=C']
      const end = await runProgram(this.#identity, this.#binaries.initdb, [
        ...args,
        '--data-checksums',
        '--no-instructions',
      ])
      if (end.exitCode !== 0) throw new Error(`initdb failed: ${end.output.trim()}`)
      await rename(fresh, this.#pgdata)
      await syncDirectory(dirname(this.#pgdata))
    } catch (error) {
      await rm(fresh, { recursive: true, force: true })
      if (!existsSync(join(this.#pgdata, 'PG_VERSION'))) throw error
    }
  }

  /** What a killed initdb left behind; whoever is still at it finds the finished directory. */
  async #removeLeftovers(): Promise<void> {
    const parent = dirname(this.#pgdata)
    const prefix = `${basename(this.#pgdata)}.new-`
    for (const name of await readdir(parent))
      if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true })
  }

  async #checkVersion(): Promise<void> {
    const version = (await readFile(join(this.#pgdata, 'PG_VERSION'), 'utf8')).trim()
    if (version !== major)
      throw new Error(`${this.#pgdata} belongs to PostgreSQL ${version}, not ${major}.`)
  }

  #keepLogSmall(): void {
    this.#trim = this.#o.clock.after(logTrimMs, () => {
      this.#trimLog().catch((error) => this.#o.log.warn({ err: error }, 'postgres.log is kept'))
      this.#keepLogSmall()
    })
  }

  /** PostgreSQL appends, so it goes on at the new end of a file that was cut. */
  async #trimLog(): Promise<void> {
    if (!existsSync(this.#logFile)) return
    if ((await stat(this.#logFile)).size > logBytesMax) await truncate(this.#logFile)
  }

  async #lastWords(): Promise<string> {
    const text = await readFile(this.#logFile, 'utf8').catch(() => '')
    const lines = text.slice(-logTailBytes).trim().split('\n')
    const fatal = lines.findLast((line) => /FATAL|PANIC/.test(line)) ?? lines.at(-1)
    return `${fatal || 'it said nothing'} (${this.#logFile})`
  }
}

/**
 * Everything that is not PostgreSQL's default, with durability left at its default: on. Given as
 * arguments, so an upgrade of ours changes them. One application with some twenty connections needs
 * no parallel workers, no replication workers and no input/output processes.
 */
function settings(socketDir: string): string[] {
  const values = {
    listen_addresses: '',
    unix_socket_directories: `"${socketDir.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    shared_buffers: '64MB',
    max_wal_size: '256MB',
    io_method: 'sync',
    jit: 'off',
    max_parallel_workers_per_gather: '0',
    max_logical_replication_workers: '0',
    // Errors of statements go to the caller; the log holds starts, stops and what is fatal.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    log_autovacuum_min_duration: '-1',
  }
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** Makes a rename in the directory survive a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
