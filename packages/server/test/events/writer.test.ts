import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Clock, systemClock as clock } from '../../src/clock.ts'
import { LeaseLost } from '../../src/events/append.ts'
import { readEvents } from '../../src/events/read.ts'
import { EventWriter } from '../../src/events/writer.ts'
import { Metrics } from '../../src/metrics.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession } from '../../src/store/sessions.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'
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

async function makeWriter(o: { readonly store?: Store; readonly clock?: Clock } = {}) {
  const given = { store, clock, ...o }
  const claimed = await makeClaimedSession(given.store.db)
  const lost: Error[] = []
  const onLost = (error: Error) => lost.push(error)
  const writer = new EventWriter({ ...given, ...claimed, metrics: new Metrics(), onLost })
  const read = () =>
    readEvents(given.store.db, { sessionId: claimed.sessionId, after: 0, limit: 20_000 })
  return { ...claimed, writer, lost, read }
}

test('events come in the order they were written, in a few commits', async () => {
  const { writer, read } = await makeWriter()
  const before = await commits()
  for (let n = 0; n < 1000; n += 1) await writer.write({ type: 'a', n })
  await writer.flush()
  const events = await read()
  assert.deepEqual(
    events.map((event) => [event.seq, event['n']]),
    Array.from({ length: 1000 }, (_, n) => [n + 1, n]),
  )
  assert.ok((await commits()) - before < 100)
  await writer[Symbol.asyncDispose]()
})

test('an event is stored without a flush, and disposing stores what waits', async () => {
  const { writer, read } = await makeWriter()
  await writer.write({ type: 'a' })
  await until('the event is stored', async () => (await read()).length === 1)
  await writer.write({ type: 'b' })
  await writer[Symbol.asyncDispose]()
  assert.equal((await read()).length, 2)
})

for (const { what, size, fits } of [
  { what: '10,000 events', size: 0, fits: 10_000 },
  { what: '16 MiB', size: 2 * 1024 * 1024, fits: 8 },
]) {
  test(`once ${what} wait for the database, the next event waits to be taken, and none is lost`, async () => {
    const { sessionId, writer, read } = await makeWriter()
    const all = fits + 25
    let taken = 0
    const flood = async () => {
      for (; taken < all; taken += 1)
        await writer.write({ type: 'a', n: taken, s: 'x'.repeat(size) })
    }
    const flooding = await store.db.transaction().execute(async (trx) => {
      await trx
        .updateTable('sessions')
        .set({ updated_at: new Date() })
        .where('id', '=', sessionId)
        .execute()
      const begun = flood()
      await until('the writer to be full', () => taken === fits)
      assert.equal(await Promise.race([begun, turns(100)]), 'still')
      assert.equal(taken, fits)
      return { begun }
    })
    await flooding.begun
    await writer[Symbol.asyncDispose]()
    assert.deepEqual(
      (await read()).map((event) => event['n']),
      Array.from({ length: all }, (_, n) => n),
    )
  })
}

/** Resolves after so many turns of the event loop. */
async function turns(count: number): Promise<'still'> {
  for (let n = 0; n < count; n += 1) await new Promise((resolve) => setImmediate(resolve))
  return 'still'
}

test('a writer that lost the session says so once and refuses what comes after', async () => {
  const { sessionId, writer, lost, read } = await makeWriter()
  await claimSession(store.db, { id: sessionId, node: 'other', now: new Date() })
  await writer.write({ type: 'too late' })
  await assert.rejects(writer.flush(), LeaseLost)
  await assert.rejects(writer.write({ type: 'later still' }), LeaseLost)
  await writer[Symbol.asyncDispose]()
  assert.equal(lost.length, 1)
  assert.deepEqual(await read(), [])
})

test('connections that break under a writer lose no event and double none', async () => {
  const { writer, lost, read } = await makeWriter()
  const breakAll = () =>
    store.pool
      .query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'longhaul' and pid <> pg_backend_pid()",
      )
      .catch(() => {}) // Its own connection may be the next to go.
  for (let n = 0; n < 2000; n += 1) {
    await writer.write({ type: 'a', n })
    if (n % 200 === 0) await breakAll()
  }
  await writer.flush()
  await writer[Symbol.asyncDispose]()
  assert.deepEqual(lost, [])
  assert.deepEqual(
    (await read()).map((event) => event['n']),
    Array.from({ length: 2000 }, (_, n) => n),
  )
})

for (const { what, begin, end } of [
  {
    what: 'takes no connections',
    begin: 'with allow_connections false',
    end: 'with allow_connections true',
  },
  {
    what: 'is read-only',
    begin: 'set default_transaction_read_only = on',
    end: 'reset default_transaction_read_only',
  },
])
  test(`a writer waits for a database that ${what}, as it is while another takes over`, async () => {
    const url = await postgres.createDatabase()
    const name = new URL(url).pathname.slice(1)
    await using away = await postgres.openStore({ databaseUrl: url })
    const set = async (setting: string) => {
      await store.pool.query(`alter database ${name} ${setting}`)
      const others = 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1'
      await store.pool.query(others, [name])
    }
    const tried = Promise.withResolvers<void>()
    const paused: Clock = {
      ...clock,
      sleep: (ms, signal) => {
        tried.resolve()
        return clock.sleep(ms, signal)
      },
    }
    const { writer, lost, read } = await makeWriter({ store: away, clock: paused })
    await set(begin)
    await writer.write({ type: 'a' })
    const flushed = writer.flush()
    await tried.promise
    await set(end)
    await flushed
    assert.deepEqual(lost, [])
    assert.deepEqual(
      (await read()).map(({ type }) => type),
      ['a'],
    )
    await writer[Symbol.asyncDispose]()
  })

async function commits(): Promise<number> {
  const { rows } = await store.pool.query<{ n: number }>(
    'select xact_commit as n from pg_stat_database where datname = current_database()',
  )
  return rows[0]?.n ?? assert.fail()
}
