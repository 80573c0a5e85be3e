import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../packages/server/src/clock.ts'
import { EventWriter } from '../packages/server/src/events/writer.ts'
import { newId, uuidOf } from '../packages/server/src/ids.ts'
import { createLog } from '../packages/server/src/log.ts'
import { Metrics } from '../packages/server/src/metrics.ts'
import { EmbeddedPostgres } from '../packages/server/src/store/embedded.ts'
import { openStore, type Store } from '../packages/server/src/store/open.ts'
import { claimSession, insertSession } from '../packages/server/src/store/sessions.ts'
import { type Bench, quantile } from './entry.ts'
import { openPlace, type Place } from './place.ts'

/** Sessions that are written and followed at once. */
const sessions = 8
/** Events of each in every tick: 2,400 a second together. */
const perTick = 3
const tickMs = 10
const ticks = 800
const textChars = 200
/** What was written last is seen by then. */
const seenMsMax = 30_000

/** How many events a second the log takes, and how soon they are seen, by a real worker's writer and over HTTP. */
export const events: Bench = {
  entries: [
    {
      name: 'events-appended',
      what: 'events appended, read back over eight streams, until the last one is seen',
      unit: 'per second',
      aim: { atLeast: 2000 },
    },
    {
      name: 'event-visible-p95',
      what: 'from the writing of an event to a reader of the stream, at that rate (95th percentile)',
      unit: 'ms',
      aim: { atMost: 100 },
    },
  ],
  async measure(signal) {
    await using stack = new AsyncDisposableStack()
    const dataDir = await mkdtemp(join(tmpdir(), 'longhaul-bench-'))
    await chmod(dataDir, 0o711)
    stack.defer(() => rm(dataDir, { recursive: true, force: true }))
    const shared = { log: createLog('silent'), clock: systemClock, signal }
    const postgres = stack.use(await EmbeddedPostgres.start({ ...shared, dataDir }))
    const { host = '', user, database } = postgres.connection
    const databaseUrl = `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`
    const place = stack.use(await openPlace([], { DATABASE_URL: databaseUrl }))
    const store = stack.use(
      await openStore({ ...shared, dataDir: join(dataDir, 'writer'), databaseUrl }),
    )
    return await write({ store, place })
  },
}

async function write({ store, place }: { store: Store; place: Place }) {
  const claimed = await Promise.all(Array.from({ length: sessions }, () => claim(store)))
  const stop = AbortSignal.timeout(ticks * tickMs + seenMsMax)
  const wanted = ticks * perTick
  const seen = claimed.map(({ sessionId }) => follow(place, { sessionId, wanted, signal: stop }))
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  const onLost = (error: Error): void => failed.reject(error)
  const writers = claimed.map(
    (session) =>
      new EventWriter({ ...session, store, metrics: new Metrics(), clock: systemClock, onLost }),
  )
  const begun = performance.now()
  for (let tick = 0; tick < ticks; tick += 1) {
    await Promise.all(writers.map((writer) => writeTick(writer)))
    // In step with the clock: a late tick is followed by an early one.
    await wait(Math.max(0, begun + (tick + 1) * tickMs - performance.now()))
  }
  const delays = (await Promise.race([Promise.all(seen), failed.promise])).flat()
  const seconds = (performance.now() - begun) / 1000
  await Promise.all(writers.map((writer) => writer[Symbol.asyncDispose]()))
  return {
    'events-appended': delays.length / seconds,
    'event-visible-p95': quantile(delays, 0.95),
  }
}

async function writeTick(writer: EventWriter): Promise<void> {
  for (let n = 0; n < perTick; n += 1) {
    const content = [{ type: 'text', text: 'x'.repeat(textChars) }]
    await writer.write({ type: 'agent.message', content, written_at_ms: Date.now() })
  }
}

/** Milliseconds from the writing of each event to its reading. */
async function follow(
  place: Place,
  o: { readonly sessionId: string; readonly wanted: number; readonly signal: AbortSignal },
): Promise<number[]> {
  const delays: number[] = []
  for await (const event of place.follow(o.sessionId, o.signal)) {
    if (event.written_at_ms === undefined) continue
    delays.push(Date.now() - event.written_at_ms)
    if (delays.length === o.wanted) return delays
  }
  throw new Error(`the stream of ${o.sessionId} ended after ${delays.length} events`)
}

async function claim({ db, node }: Store): Promise<{ sessionId: string; attempt: number }> {
  const id = newId('sesn', systemClock)
  const made = { agent: {}, environment: {}, createdBy: null, now: new Date() }
  await insertSession(db, { id, conversationId: uuidOf(id), ...made })
  const { attempt } = await claimSession(db, { id, node, now: new Date() })
  return { sessionId: id, attempt }
}
