import { randomBytes } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { EmbeddedPostgres } from './embedded.ts'

/** A server that was killed a moment ago may still hold its connection. */
const acquireMsMax = 3000
const retryMs = 200
/** Between two tries to get the lock back after the connection was lost. */
const regainMs = 500

export interface NodeLockOptions {
  /** Asked for at each try: an embedded PostgreSQL may come back with another socket. */
  readonly connection: () => pg.ClientConfig
  readonly dataDir: string
  /** The name of this data directory's node, from `nodeOf`. */
  readonly node: string
  readonly log: Log
  readonly clock: Clock
  /** The database that is ours to bring back before the lock is taken again. */
  readonly embedded: EmbeddedPostgres | null
}

/**
 * The right to be the one server of a data directory: an advisory lock of the database, held by a
 * connection of its own. So it ends with the process however that ends, needs no pid that may
 * belong to somebody else, and holds between containers and machines that share the directory.
 * When the connection breaks it is taken again; if another server was faster, `lost` aborts.
 */
export class NodeLock implements AsyncDisposable {
  readonly #o: NodeLockOptions
  readonly #closing = new AbortController()
  readonly #lost = new AbortController()
  #client: pg.Client | undefined
  #regaining: Promise<void> | undefined

  /** Throws an Error with one sentence when another server has the directory. */
  static async acquire(o: NodeLockOptions, signal: AbortSignal): Promise<NodeLock> {
    const lock = new NodeLock(o)
    const deadline = o.clock.now() + acquireMsMax
    while (!(await lock.#take())) {
      if (o.clock.now() > deadline) throw new Error(takenSentence(o.dataDir))
      await o.clock.sleep(retryMs, signal)
    }
    return lock
  }

  private constructor(o: NodeLockOptions) {
    this.#o = o
  }

  /** Aborts when the directory belongs to another server: this one has to end. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Ends the watch; the lock itself goes with its connection, in `asyncDispose`. */
  stopWatching(): void {
    this.#closing.abort(new Error('the store is closing'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopWatching()
    await this.#regaining
    await this.#client?.end().catch(() => {}) // It may be broken already, which is as good.
  }

  async #take(): Promise<boolean> {
    const client = new pg.Client({
      ...this.#o.connection(),
      application_name: `longhaul node ${this.#o.node}`,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    })
    client.on('error', (error) => this.#o.log.debug({ err: error }, 'the lock connection broke'))
    try {
      await client.connect()
      // A machine that lost its power says no goodbye: the database notices within half a minute.
      await client.query(
        "select set_config(name, value, false) from (values ('tcp_keepalives_idle', '15'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3')) as s (name, value)",
      )
      const { rows } = await client.query<{ taken: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 0)) as taken',
        [`longhaul node ${this.#o.node}`],
      )
      if (rows[0]?.taken !== true) {
        await client.end()
        return false
      }
    } catch (error) {
      await client.end().catch(() => {}) // The first error is the one to tell.
      throw error
    }
    this.#client = client
    client.once('end', () => {
      if (!this.#closing.signal.aborted) this.#regaining = this.#regain()
    })
    return true
  }

  async #regain(): Promise<void> {
    const { log, clock, embedded } = this.#o
    const signal = this.#closing.signal
    log.warn('the connection to the database was lost, connecting again')
    while (!signal.aborted) {
      try {
        await embedded?.ensureRunning(signal)
        if (await this.#take()) log.info('the database is back')
        else this.#lost.abort(new Error(takenSentence(this.#o.dataDir)))
        return
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error }, 'the database is still away')
        await clock.sleep(regainMs, signal).catch(() => {}) // Closing: the loop ends.
      }
    }
  }
}

/**
 * The name of the node that a data directory belongs to, made once and kept in the directory. It
 * outlives every process and every change of the machine's name.
 */
export async function nodeOf(dataDir: string): Promise<string> {
  const file = join(dataDir, 'node')
  const found = await readFile(file, 'utf8').catch(() => '')
  if (found !== '') return found.trim()
  // Written whole under another name, so that a second server never reads half of it.
  const name =
    hostname()
      .replace(/[^A-Za-z0-9.-]/g, '')
      .slice(0, 40) || 'node'
  const draft = `${file}.${randomBytes(4).toString('hex')}`
  await writeFile(draft, `${name}-${randomBytes(4).toString('hex')}\n`, { flush: true })
  try {
    await link(draft, file)
  } catch (error) {
    // Two servers start for the first time: the name of the faster one counts.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await rm(draft, { force: true })
  }
  return (await readFile(file, 'utf8')).trim()
}

function takenSentence(dataDir: string): string {
  return `Another Longhaul server is using the data directory ${dataDir}: stop it, or choose another DATA_DIR.`
}
