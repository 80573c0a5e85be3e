/** Deltas from one process to the readers of another. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { systemClock as clock } from '../../src/clock.ts'
import { LiveEvents } from '../../src/events/live.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import type { Store } from '../../src/store/open.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
let postgres: TestPostgres
let store: Store
let worker: LiveEvents
let server: LiveEvents
let overheard: string[]
let ear: pg.Client
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
  worker = await LiveEvents.open({ store, log, clock })
  server = await LiveEvents.open({ store, log, clock })
  overheard = []
  ear = new pg.Client(store.connection)
  await ear.connect()
  ear.on('notification', ({ payload = '' }) => overheard.push(payload))
  await ear.query('listen longhaul_deltas')
})
after(async () => {
  await ear.end()
  await server[Symbol.asyncDispose]()
  await worker[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

const delta = (text: string) => ({ type: 'event_delta', event_id: 'sevt_m', delta: { text } })

test('a reader elsewhere that asks for deltas gets them in order, and one that does not gets none', async () => {
  const sessionId = newId('sesn', clock)
  using asks = server.subscribe(sessionId, { deltas: true })
  using other = server.subscribe(newId('sesn', clock), { deltas: true })
  await until('the wish to be said', () => overheard.some((text) => text.includes(sessionId)))
  const got: unknown[] = []
  await until('the first delta', () => {
    worker.delta(sessionId, delta('first'))
    got.push(...asks.takeDeltas())
    return got.length > 0
  })
  for (const text of ['a', 'b', 'c']) worker.delta(sessionId, delta(text))
  await until('the last one', () => {
    got.push(...asks.takeDeltas())
    return JSON.stringify(got.at(-1)).includes('"c"')
  })
  assert.deepEqual(got.slice(-3), [delta('a'), delta('b'), delta('c')])
  assert.deepEqual(other.takeDeltas(), [])
})

test('nothing is said in the database of a session that nobody reads elsewhere, nor what is too large', async () => {
  const [unread, read] = [newId('sesn', clock), newId('sesn', clock)]
  using here = worker.subscribe(unread)
  using asks = server.subscribe(read, { deltas: true })
  await until('the wish to be said', () => overheard.some((text) => text.includes(read)))
  worker.delta(unread, delta('secretly'))
  worker.delta(read, delta('x'.repeat(9000)))
  const got: unknown[] = []
  await until('a small one', () => {
    worker.delta(read, delta('small'))
    got.push(...asks.takeDeltas())
    return got.length > 0
  })
  assert.ok(got.every((each) => JSON.stringify(each).includes('small')))
  assert.equal(here.takeDeltas().length, 1)
  assert.ok(!overheard.some((text) => text.includes('secretly') || text.includes(unread)))
})
