import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { appendEvents, LeaseLost, type NewEvent } from '../../src/events/append.ts'
import { LiveEvents } from '../../src/events/live.ts'
import { readEvents } from '../../src/events/read.ts'
import { createLog } from '../../src/log.ts'
import { getArtifact } from '../../src/store/artifacts.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession } from '../../src/store/sessions.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession, makeSession } from '../support/sessions.ts'
import { until } from '../support/until.ts'

let postgres: TestPostgres
let store: Store
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
})
after(async () => {
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

const log = createLog('silent')

function append(sessionId: string, events: readonly NewEvent[], attempt?: number) {
  return appendEvents(store.db, {
    sessionId,
    events,
    clock,
    ...(attempt === undefined ? {} : { attempt }),
  })
}

function read(sessionId: string, after = 0) {
  return readEvents(store.db, { sessionId, after, limit: 1000 })
}

test('an event is read as it was appended, with its number', async () => {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  const given = {
    id: 'sevt_given',
    type: 'agent.message',
    thread_id: 't',
    content: ['a', { b: 1 }],
  }
  const stored = await append(sessionId, [given, { type: 'user.message', seq: 99 }], attempt)
  const { processed_at, ...first } = stored[0] ?? assert.fail()
  assert.deepEqual(first, { ...given, seq: 1, session_id: sessionId, attempt })
  assert.ok(Math.abs(Date.parse(processed_at ?? '') - clock.now()) < 10_000)
  assert.match(stored[1]?.id ?? '', /^sevt_[0-9a-z]{26}$/)
  assert.deepEqual([stored[1]?.seq, stored[1]?.thread_id], [2, null])
  assert.deepEqual(await read(sessionId), stored)
  assert.deepEqual(await read(sessionId, 1), stored.slice(1))
  const filter = { sessionId, after: 0, limit: 10, types: ['user.message'] }
  assert.deepEqual(await readEvents(store.db, filter), stored.slice(1))
  assert.deepEqual(await append(sessionId, []), [])
})

test('the numbers are dense under 20 concurrent appenders', async () => {
  const sessionId = await makeSession(store.db)
  const appender = async (name: number) => {
    for (let n = 0; n < 5; n += 1)
      await append(sessionId, [
        { type: 'a', name },
        { type: 'b', name },
      ])
  }
  await Promise.all(Array.from({ length: 20 }, (_, name) => appender(name)))
  const events = await read(sessionId)
  assert.deepEqual(
    events.map((event) => event.seq),
    Array.from({ length: 200 }, (_, at) => at + 1),
  )
})

test('a transaction that is rolled back leaves no gap', async () => {
  const sessionId = await makeSession(store.db)
  await append(sessionId, [{ type: 'a' }])
  const failed = store.db.transaction().execute(async (trx) => {
    await appendEvents(trx, { sessionId, events: [{ type: 'lost' }], clock })
    throw new Error('changed my mind')
  })
  await assert.rejects(failed, /changed my mind/)
  await append(sessionId, [{ type: 'b' }])
  const events = await read(sessionId)
  assert.deepEqual(
    events.map((event) => [event.seq, event.type]),
    [
      [1, 'a'],
      [2, 'b'],
    ],
  )
})

test('an attempt that lost the session appends nothing', async () => {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  await append(sessionId, [{ type: 'before' }], attempt)
  const next = await claimSession(store.db, { id: sessionId, node: 'other', now: new Date() })
  await assert.rejects(append(sessionId, [{ type: 'too late' }], attempt), LeaseLost)
  await append(sessionId, [{ type: 'after' }], next.attempt)
  const events = await read(sessionId)
  assert.deepEqual(
    events.map((event) => event.type),
    ['before', 'after'],
  )
  await assert.rejects(append('sesn_none', [{ type: 'a' }]), /there is no session sesn_none/)
})

test('an event of 64 KiB is stored as it is, a larger one is cut and kept whole as an artifact', async () => {
  const sessionId = await makeSession(store.db)
  const wrapping = Buffer.byteLength(JSON.stringify({ text: '' }))
  const fits = { type: 'fits', text: 'x'.repeat(64 * 1024 - wrapping) }
  const large = { type: 'large', content: [{ text: 'ü'.repeat(50_000), n: 1 }], is_error: false }
  const many = { type: 'many', words: Array.from({ length: 40_000 }, (_, n) => n), note: 'kept' }
  const [first, second, third] = await append(sessionId, [fits, large, many])
  assert.equal(first?.['text'], fits.text)
  const name = `event-${second?.id}.json`
  assert.deepEqual(second?.['content'], [{ text: 'ü'.repeat(4096), n: 1 }])
  assert.deepEqual(
    [second?.['is_error'], second?.['truncated'], second?.['artifact']],
    [false, true, name],
  )
  assert.deepEqual([third?.['words'], third?.['note']], [undefined, 'kept'])
  const artifact = (await getArtifact(store.db, { sessionId, name })) ?? assert.fail()
  const whole = Buffer.concat(await Array.fromAsync(artifact.read())).toString()
  assert.deepEqual(JSON.parse(whole), { id: second?.id, thread_id: null, ...large })
  assert.deepEqual(await read(sessionId), [first, second, third])
})

test('each reader of a session hears of its events, and of no other session', async () => {
  // Its time stands still: nobody just looks again.
  const still = new ManualClock()
  await using live = await LiveEvents.open({ store, log, clock: still })
  const [sessionId, otherId] = [await makeSession(store.db), await makeSession(store.db)]
  using one = live.subscribe(sessionId)
  using two = live.subscribe(sessionId)
  using other = live.subscribe(otherId)
  assert.equal(live.readerCount, 3)
  const soon = AbortSignal.timeout(60_000)
  let isOtherTold = false
  const told = other.wait(soon).then(() => {
    isOtherTold = true
  })
  const heard = Promise.all([one.wait(soon), two.wait(soon)])
  await append(sessionId, [{ type: 'a' }])
  await heard
  // A hint between two waits is not lost, and waits no longer than it has to.
  await append(sessionId, [{ type: 'b' }])
  await one.wait(soon)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isOtherTold, false)
  still.advance(1000)
  await told // Only to look again.
  const aborted = AbortSignal.abort(new Error('gone'))
  await assert.rejects(two.wait(aborted), /gone/)
})

test('deltas reach readers in this process only, 64 at most, and are not stored', async () => {
  await using live = await LiveEvents.open({ store, log, clock })
  const sessionId = await makeSession(store.db)
  live.delta(sessionId, { type: 'nobody listens' })
  using reader = live.subscribe(sessionId)
  for (let n = 0; n < 100; n += 1) live.delta(sessionId, { type: 'delta', n })
  await reader.wait(AbortSignal.timeout(5000))
  assert.deepEqual(
    reader.takeDeltas().map((delta) => delta['n']),
    Array.from({ length: 64 }, (_, n) => n),
  )
  assert.deepEqual(reader.takeDeltas(), [])
  assert.deepEqual(await read(sessionId), [])
})

test('readers that go and a closed LiveEvents leave no listener behind', async () => {
  const live = await LiveEvents.open({ store, log, clock })
  const sessionId = await makeSession(store.db)
  const reader = live.subscribe(sessionId)
  live.subscribe(sessionId)[Symbol.dispose]()
  assert.equal(live.readerCount, 1)
  reader[Symbol.dispose]()
  assert.equal(live.readerCount, 0)
  await live[Symbol.asyncDispose]()
  await until('the listening connection is gone', async () => {
    const { rows } = await store.pool.query(
      "select from pg_stat_activity where application_name = 'longhaul_events'",
    )
    return rows.length === 0
  })
})

test('a listener whose connection breaks listens again', async () => {
  const manual = new ManualClock()
  await using live = await LiveEvents.open({ store, log, clock: manual })
  const sessionId = await makeSession(store.db)
  const listeners = async () => {
    const { rows } = await store.pool.query<{ pid: number }>(
      "select pid from pg_stat_activity where application_name = 'longhaul_events' and state = 'idle'",
    )
    return rows.map((row) => row.pid)
  }
  await until('those of earlier tests are gone', async () => (await listeners()).length === 1)
  const [pid] = await listeners()
  await store.pool.query('select pg_terminate_backend($1)', [pid])
  await until('another connection listens', async () => {
    manual.advance(500)
    const now = await listeners()
    return now.length === 1 && now[0] !== pid
  })
  using reader = live.subscribe(sessionId)
  const heard = reader.wait(AbortSignal.timeout(60_000))
  await append(sessionId, [{ type: 'a' }])
  await heard // Without looking again: its time stands still.
})
