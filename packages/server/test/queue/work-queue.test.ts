import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import type { Priority } from '@longhaul/client/contract'
import { systemClock as clock } from '../../src/clock.ts'
import { appendEvents } from '../../src/events/append.ts'
import { createLog } from '../../src/log.ts'
import { type Lease, WorkQueue } from '../../src/queue/work-queue.ts'
import { LeaseLost } from '../../src/store/lease-lost.ts'
import type { Store } from '../../src/store/open.ts'
import { getSession } from '../../src/store/sessions.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { makeDirectory, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
let postgres: TestPostgres
let databaseUrl: string
let store: Store
let queue: WorkQueue
let otherNode: WorkQueue

before(async () => {
  postgres = await startPostgres()
  databaseUrl = await postgres.createDatabase()
  store = await postgres.openStore({ databaseUrl })
  // Both make pg-boss's schema at once.
  ;[queue, otherNode] = await Promise.all([
    WorkQueue.open({ store, clock, log, node: 'node-a' }),
    WorkQueue.open({ store, clock, log, node: 'node-b' }),
  ])
})
after(async () => {
  await otherNode[Symbol.asyncDispose]()
  await queue[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})
beforeEach(() => store.pool.query('delete from pgboss.job'))

const claimProcess = join(import.meta.dirname, '../support/claim-process.ts')
const plenty = { free: 10, limit: 100 }

async function enqueue(priority: Priority = 'medium', startAfter?: Date): Promise<string> {
  const sessionId = await makeSession(store.db)
  const when = startAfter === undefined ? {} : { startAfter }
  await store.db
    .transaction()
    .execute((trx) => queue.enqueue(trx, { sessionId, priority, ...when }))
  return sessionId
}

async function claimOne(from = queue): Promise<Lease> {
  const [lease] = await from.claim({ free: 1, limit: 100 })
  return lease ?? assert.fail('there was nothing to claim')
}

function complete(lease: Lease): Promise<void> {
  return store.db.transaction().execute((trx) => queue.complete(trx, lease))
}

/** What a worker that went silent 12 s ago looks like; the clock of a lease is the database's. */
async function lapse(lease: Lease): Promise<void> {
  await store.pool.query(
    "update pgboss.job set heartbeat_on = heartbeat_on - interval '16 seconds' where id = $1",
    [lease.workId],
  )
  await until('the lapse is noticed', async () => (await queue.depth()).active === 0)
}

test('work is claimed strictly by priority, then by age', async () => {
  const low = await enqueue('low')
  const medium = await enqueue('medium')
  const [high1, high2] = [await enqueue('high'), await enqueue('high')]
  const first = await queue.claim({ free: 3, limit: 100 })
  assert.deepEqual(
    first.map((lease) => lease.sessionId),
    [high1, high2, medium],
  )
  assert.equal((await claimOne()).sessionId, low)
  assert.deepEqual(await queue.claim(plenty), [])
})

test('a claim starts the next attempt of its session on its node', async () => {
  const sessionId = await enqueue()
  const lease = await claimOne()
  assert.deepEqual([lease.sessionId, lease.attempt, lease.retryCount], [sessionId, 1, 0])
  const session = await getSession(store.db, sessionId)
  assert.deepEqual([session?.node, session?.attempt, session?.status], ['node-a', 1, 'running'])
})

test('12 racing claims on two nodes never exceed the limit', async () => {
  for (let n = 0; n < 12; n += 1) await enqueue()
  for (const limit of [1, 5, 5]) {
    const claims = Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? queue : otherNode).claim({ free: 4, limit }),
    )
    const leases = (await Promise.all(claims)).flat()
    assert.equal((await queue.depth()).active, limit)
    assert.equal(new Set(leases.map((lease) => lease.sessionId)).size, leases.length)
    for (const lease of leases) await complete(lease)
  }
})

test('a transaction that is rolled back enqueues nothing', async () => {
  const sessionId = await makeSession(store.db)
  const failed = store.db.transaction().execute(async (trx) => {
    await queue.enqueue(trx, { sessionId, priority: 'high' })
    throw new Error('changed my mind')
  })
  await assert.rejects(failed, /changed my mind/)
  assert.deepEqual(await queue.depth(), { waiting: 0, active: 0 })
})

test('work with a start time is not claimed before it', async () => {
  await enqueue('high', new Date(Date.now() + 60_000))
  assert.deepEqual(await queue.claim(plenty), [])
  assert.deepEqual(await queue.depth(), { waiting: 1, active: 0 })
})

test('of one session one piece of work waits and one is active, never two', async () => {
  const sessionId = await enqueue()
  const again = () =>
    store.db.transaction().execute((trx) => queue.enqueue(trx, { sessionId, priority: 'medium' }))
  await again()
  assert.deepEqual(await queue.depth(), { waiting: 1, active: 0 })
  const lease = await claimOne()
  await again()
  assert.deepEqual(await queue.depth(), { waiting: 1, active: 1 })
  assert.deepEqual(await queue.claim(plenty), [], 'it waits until the first one ends')
  await complete(lease)
  assert.equal((await claimOne()).attempt, 2)
})

test('released work is claimed again at once, before younger work, with the lease before it lost', async () => {
  const sessionId = await enqueue()
  await enqueue()
  const lease = await claimOne()
  await queue.release(lease, { delayMs: 0 })
  assert.equal(await queue.touch(lease), false)
  const next = await claimOne(otherNode)
  assert.deepEqual([next.sessionId, next.workId, next.attempt], [sessionId, lease.workId, 2])
  await assert.rejects(complete(lease), LeaseLost)
  await queue.release(lease, { delayMs: 0 })
  assert.equal(await otherNode.touch(next), true, 'a lost lease releases nothing')
})

test('work released with a delay waits for it, however often it was released', async () => {
  await enqueue()
  for (let n = 0; n < 5; n += 1) await queue.release(await claimOne(), { delayMs: 0 })
  const lease = await claimOne()
  await queue.release(lease, { delayMs: 600_000 })
  assert.deepEqual(await queue.claim(plenty), [])
  const pass = (seconds: number) =>
    store.pool.query(
      'update pgboss.job set start_after = start_after - make_interval(secs => $1) where id = $2',
      [seconds, lease.workId],
    )
  await pass(300)
  assert.deepEqual(await queue.claim(plenty), [])
  await pass(300)
  assert.equal((await queue.claim(plenty)).length, 1)
})

test('a node that starts anew gets its own work back at once, and nobody else’s', async () => {
  const mine = await enqueue()
  const lease = await claimOne()
  const theirs = await enqueue()
  const otherLease = await claimOne(otherNode)
  assert.deepEqual(await queue.recover(), [mine])
  assert.deepEqual(await queue.recover(), [])
  assert.equal(await queue.touch(lease), false)
  assert.equal(await otherNode.touch(otherLease), true)
  const again = await claimOne()
  assert.deepEqual([again.sessionId, again.attempt], [mine, 2])
  assert.equal((await getSession(store.db, theirs))?.attempt, 1)
})

test('a lease that is touched lives, one that lapsed cannot touch, complete, release or write', async () => {
  const sessionId = await enqueue()
  const lease = await claimOne()
  assert.equal(await queue.touch(lease), true)
  await lapse(lease)
  assert.equal(await queue.touch(lease), false)
  await assert.rejects(complete(lease), LeaseLost)
  const next = await claimOne(otherNode)
  assert.deepEqual([next.sessionId, next.attempt, next.retryCount], [sessionId, 2, 1])
  const late = { sessionId, attempt: lease.attempt, events: [{ type: 'late' }], clock }
  await assert.rejects(appendEvents(store.db, late), LeaseLost)
  await assert.rejects(complete(lease), LeaseLost)
  await queue.release(lease, { delayMs: 0 })
  assert.equal(await otherNode.touch(next), true)
})

test('a lease is held until it is given back or taken by another claim, and no longer', async () => {
  const sessionId = await enqueue()
  const lease = await claimOne()
  assert.equal(await queue.holds(lease), true)
  assert.equal(await otherNode.holds({ ...lease, attempt: 2 }), false)
  await queue.release(lease, { delayMs: 0 })
  assert.equal(await queue.holds(lease), false)
  const next = await claimOne(otherNode)
  assert.deepEqual([next.sessionId, next.workId], [sessionId, lease.workId])
  assert.deepEqual([await queue.holds(lease), await otherNode.holds(next)], [false, true])
  await complete(next)
  assert.equal(await otherNode.holds(next), false)
})

test('whoever looks for work finds a lapsed lease at once, by its one rule of 12 s', async () => {
  const sessionId = await enqueue()
  const lease = await claimOne()
  const silent = (seconds: number) =>
    store.pool.query(
      'update pgboss.job set heartbeat_on = now() - make_interval(secs => $1) where id = $2',
      [seconds, lease.workId],
    )
  const { rows } = await store.pool.query(
    'select heartbeat_seconds as rule from pgboss.job where id = $1',
    [lease.workId],
  )
  assert.deepEqual(rows, [{ rule: 12 }])
  // The database's time goes on: a claim on a busy machine may be seconds later.
  await silent(6)
  assert.deepEqual(await otherNode.claim(plenty), [])
  await silent(12.1)
  const next = await claimOne(otherNode)
  assert.deepEqual([next.sessionId, next.attempt], [sessionId, 2])
  assert.equal(await queue.touch(lease), false)
})

test('a worker that is stopped amid a claim keeps the others from claiming for seconds only', async () => {
  const sessionId = await enqueue()
  await using directory = await makeDirectory()
  const words = ['--conditions=longhaul', claimProcess, directory.path, databaseUrl]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const printed = child.stdout.setEncoding('utf8').toArray()
  try {
    const state = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.[0]
    await until('the worker to be stopped', () => state() === 'T')
    const begun = performance.now()
    let lease: Lease | undefined
    await until(
      'the work to be claimed by another',
      async () => {
        ;[lease] = await queue.claim({ free: 1, limit: 100 })
        return lease !== undefined
      },
      30_000,
    )
    assert.ok(performance.now() - begun < 20_000)
    assert.deepEqual([lease?.sessionId, lease?.attempt], [sessionId, 1])
  } finally {
    child.kill('SIGCONT')
    await once(child, 'exit')
  }
  assert.deepEqual(await printed, ['failed\n'])
})

test('an end whose lease is lost is rolled back whole', async () => {
  const sessionId = await enqueue()
  const lease = await claimOne()
  await queue.release(lease, { delayMs: 0 })
  const end = store.db.transaction().execute(async (trx) => {
    await appendEvents(trx, { sessionId, events: [{ type: 'task.completed' }], clock })
    await queue.complete(trx, lease)
  })
  await assert.rejects(end, LeaseLost)
  assert.equal((await getSession(store.db, sessionId))?.last_seq, 0)
})

test('waiting work can be cancelled, active work cannot', async () => {
  const cancel = (sessionId: string) =>
    store.db.transaction().execute((trx) => queue.cancelQueued(trx, sessionId))
  const waiting = await enqueue()
  const delayed = await enqueue('high', new Date(Date.now() + 60_000))
  assert.equal(await cancel(waiting), true)
  assert.equal(await cancel(waiting), false)
  assert.equal(await cancel(delayed), true)
  assert.deepEqual(await queue.depth(), { waiting: 0, active: 0 })
  const active = await enqueue()
  const lease = await claimOne()
  assert.equal(await cancel(active), false)
  assert.equal(await queue.touch(lease), true)
})

test('a claim and a cancellation that race leave the work to exactly one of them', async () => {
  for (let round = 0; round < 10; round += 1) {
    const sessionId = await enqueue()
    const [cancelled, leases] = await Promise.all([
      store.db.transaction().execute((trx) => queue.cancelQueued(trx, sessionId)),
      queue.claim(plenty),
    ])
    assert.equal(leases.length, cancelled ? 0 : 1)
    for (const lease of leases) await complete(lease)
  }
})

test('a worker hears of new work at once, and of room when work ends', async () => {
  // Its time stands still: it cannot just look again.
  const still = { store, clock: new ManualClock(), log, node: 'node-c' }
  await using worker = await WorkQueue.open(still)
  const soon = AbortSignal.timeout(60_000)
  await worker.changed(soon) // That it listens now.
  const hears = async (act: () => Promise<unknown>) => {
    const heard = worker.changed(soon)
    await act()
    await heard
  }
  await hears(() => enqueue())
  const lease = await claimOne()
  await hears(() => complete(lease))
  await assert.rejects(queue.changed(AbortSignal.abort(new Error('draining'))), /draining/)
})

test('a queue that is closed leaves no connection behind and is not ready', async () => {
  const connections = async () => {
    const { rows } = await store.pool.query(
      "select from pg_stat_activity where application_name in ('pgboss', 'longhaul_work')",
    )
    return rows.length
  }
  const before = await connections()
  const another = await WorkQueue.open({ store, clock, log, node: 'node-c' })
  assert.equal(another.ready(), true)
  await another[Symbol.asyncDispose]()
  assert.equal(another.ready(), false)
  await until('its connections are gone', async () => (await connections()) <= before)
})
