import pg from 'pg'
import type { Clock, Timer } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Store } from './open.ts'

/** Between two tries to listen again after the connection broke. */
const reconnectMs = 500

export interface ListenOptions {
  readonly store: Store
  /** A name of the program's, not of anybody else: it becomes part of a statement. */
  readonly channel: 'longhaul_events' | 'longhaul_work' | 'longhaul_deliveries' | 'longhaul_deltas'
  readonly log: Log
  readonly clock: Clock
  /**
   * Called with each payload, and with null whenever notifications may have been missed: at the
   * start and after every reconnection.
   */
  readonly onHint: (payload: string | null) => void
}

/**
 * Listens to one channel of the database on a connection of its own, for as long as it lives.
 * Notifications are hints: who needs to be sure reads the rows.
 */
export class Listener implements AsyncDisposable {
  readonly #o: ListenOptions
  #client: pg.Client | undefined
  #retry: Timer | undefined
  #connecting: Promise<void> = Promise.resolve()
  #closed = false

  /** Resolves once it listens; rejects when the database does not answer. */
  static async open(o: ListenOptions): Promise<Listener> {
    const listener = new Listener(o)
    await listener.#connect()
    return listener
  }

  private constructor(o: ListenOptions) {
    this.#o = o
  }

  get listening(): boolean {
    return this.#client !== undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#retry?.cancel()
    await this.#connecting
    await this.#client?.end().catch(() => {}) // It may be broken already.
  }

  async #connect(): Promise<void> {
    const { store, channel, log, onHint } = this.#o
    const client = new pg.Client({
      ...store.connection,
      application_name: channel,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    })
    client.on('error', (error) => log.debug({ err: error, channel }, 'the listener broke'))
    client.on('notification', (message) => onHint(message.payload ?? null))
    try {
      await client.connect()
      await client.query(`listen ${channel}`)
    } catch (error) {
      await client.end().catch(() => {}) // The first error is the one to tell.
      throw error
    }
    this.#client = client
    client.once('end', () => {
      this.#client = undefined
      this.#reconnectLater()
    })
    onHint(null)
  }

  #reconnectLater(): void {
    if (this.#closed) return
    this.#retry = this.#o.clock.after(reconnectMs, () => {
      this.#connecting = this.#connect().catch((error) => {
        this.#o.log.debug({ err: error }, 'cannot listen yet')
        this.#reconnectLater()
      })
    })
  }
}
