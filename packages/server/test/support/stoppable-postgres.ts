import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { EmbeddedPostgres } from '../../src/store/embedded.ts'
import { ask, makeDirectory, seedPostgres } from './postgres.ts'

/** A real PostgreSQL that no server keeps up; disposing removes it. */
export interface StoppablePostgres extends AsyncDisposable {
  /** An empty database of it, as a `DATABASE_URL`. */
  readonly url: string
  /** Stops it, with every connection, as its operator would to restart it. */
  stop(): Promise<void>
  /** Starts it again, in the same place. */
  start(): Promise<void>
}

export async function startStoppablePostgres(): Promise<StoppablePostgres> {
  await using stack = new AsyncDisposableStack()
  const { path: dataDir } = stack.use(await makeDirectory())
  await seedPostgres(dataDir)
  const start = () =>
    EmbeddedPostgres.start({
      ...{ dataDir, log: createLog('silent'), clock: systemClock },
      signal: AbortSignal.timeout(60_000),
    })
  let running: EmbeddedPostgres | null = await start()
  const stop = async (): Promise<void> => {
    await running?.[Symbol.asyncDispose]()
    running = null
  }
  stack.defer(stop)
  const { connection } = running
  await ask(connection, 'create database longhaul')
  const { host = '', user } = connection
  const closing = stack.move()
  return {
    url: `postgres://${user}@localhost/longhaul?host=${encodeURIComponent(host)}`,
    stop,
    async start() {
      running ??= await start()
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
