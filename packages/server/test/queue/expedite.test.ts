/** Work whose task has only to end, cancelled or out of time, goes before everything else. */
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { type Lease, WorkQueue } from '../../src/queue/work-queue.ts'
import { environmentLimitsOf } from '../../src/runner/limits.ts'
import type { Store } from '../../src/store/open.ts'
import { getTask, getTaskBySession } from '../../src/store/tasks.ts'
import { cancelTask } from '../../src/tasks/cancel.ts'
import { createTask } from '../../src/tasks/create.ts'
import { queueDue } from '../../src/tasks/queue-due.ts'
import { moveTask } from '../../src/tasks/transition.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { order } from './order.ts'

const clock = new JumpClock()
const limits = environmentLimitsOf(loadConfig({}))
const caller = { keyId: 'key', name: 'somebody', scopes: ['*'] }
const plenty = { free: 10, limit: 100 }
const longMs = 3_600_000

let postgres: TestPostgres
let store: Store
let queue: WorkQueue
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
  queue = await WorkQueue.open({ store, clock, log: createLog('silent'), node: 'node-a' })
})
after(async () => {
  await queue[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})
afterEach(() => store.pool.query('delete from pgboss.job'))

const create = (priority: 'high' | 'low' = 'low') =>
  store.db
    .transaction()
    .execute((trx) => createTask(trx, { queue, clock, limits }, { ...order, priority }, caller))
const cancel = (id: string) =>
  cancelTask({ store, queue, clock, metrics: new Metrics() }, id, caller)

/** Claims the task's work and begins it, as a worker does. */
async function start(id: string): Promise<Lease> {
  const [lease] = await queue.claim({ free: 1, limit: 100 })
  assert.ok(lease)
  assert.equal((await getTaskBySession(store.db, lease.sessionId))?.id, id)
  const to = { status: 'running', reason: 'preparing' } as const
  await store.db.transaction().execute((trx) => moveTask(trx, { taskId: id, to, clock }))
  return lease
}

/** Two tasks that take all of a limit of two. */
async function fill(): Promise<{ free: number; limit: number }> {
  for (const _ of [1, 2]) await start((await create('high')).id)
  return { free: 0, limit: 2 }
}

test('a task that never started ends at once, delayed or not, with every place taken', async () => {
  const full = await fill()
  const [waiting, delayed] = [await create(), await create()]
  const later =
    "update pgboss.job set start_after = now() + interval '1 hour' where singleton_key = $1"
  await store.pool.query(later, [delayed.session_id])
  for (const { id } of [waiting, delayed]) {
    const task = await cancel(id)
    assert.deepEqual([task?.status, task?.reason, task?.started_at], ['failed', 'cancelled', null])
    assert.ok(task?.completed_at)
  }
  assert.deepEqual(await queue.claim(full), [])
  assert.deepEqual(await queue.depth(), { waiting: 0, active: 2 })
})

test('cancelled in a back-off, a task is claimed at once, before more urgent ones', async () => {
  const { id, session_id } = await create()
  await queue.release(await start(id), { delayMs: longMs })
  await create('high')
  assert.equal((await cancel(id))?.status, 'running')
  const [first, second] = await queue.claim(plenty)
  assert.deepEqual([first?.sessionId, first?.attempt], [session_id, 2])
  assert.ok(second)
})

test('cancelled with every place taken, a task gets one more place, which it shares with nobody', async () => {
  const cancelled = [await create(), await create()]
  const leases: Lease[] = []
  for (const { id } of cancelled) leases.push(await start(id))
  const full = await fill()
  await Promise.all(leases.map((lease) => queue.release(lease, { delayMs: longMs })))
  await create('high')
  assert.deepEqual(await queue.claim(full), [])
  for (const { id } of cancelled) await cancel(id)
  const [one, ...more] = await queue.claim(full)
  assert.ok(one && cancelled.some(({ session_id }) => session_id === one.sessionId))
  assert.deepEqual(more, [])
  assert.deepEqual(await queue.claim(full), [], 'the one more place is taken')
  assert.deepEqual(await queue.claim({ free: -1, limit: 2 }), [])
  await store.db.transaction().execute((trx) => queue.complete(trx, one))
  assert.equal((await queue.claim(full)).length, 1)
})

test('cancelled while its worker is about to back off, or is dead, a task does not wait either', async () => {
  const backing = await create()
  const lease = await start(backing.id)
  await cancel(backing.id)
  await queue.release(lease, { delayMs: longMs })
  assert.equal((await queue.claim(plenty)).length, 1)

  const dead = await create()
  await start(dead.id)
  await cancel(dead.id)
  assert.ok((await queue.recover()).includes(dead.session_id))
  const claimed = await queue.claim({ free: 0, limit: 0 })
  assert.equal(claimed.length, 1)
})

test('a cancel that meets the work on its way back into the queue still finds it', async () => {
  for (let round = 0; round < 20; round += 1) {
    const { id, session_id } = await create()
    const lease = await start(id)
    await Promise.all([cancel(id), queue.release(lease, { delayMs: longMs })])
    const claimed = await queue.claim(plenty)
    assert.deepEqual(
      claimed.map(({ sessionId }) => sessionId),
      [session_id],
    )
    for (const each of claimed)
      await store.db.transaction().execute((trx) => queue.complete(trx, each))
  }
})

test('a task whose time is up while it waits is claimed at once, with every place taken', async () => {
  const { id, session_id } = await create()
  await queue.release(await start(id), { delayMs: longMs })
  const { limit } = await fill()
  assert.deepEqual(await queue.claim({ free: 0, limit }), [])
  const before = await getTask(store.db, id)
  clock.jump(order.timeLimitMinutes * 60_000)
  // Those who run are out of time as well, and end by themselves.
  assert.deepEqual(
    (await queue.claim({ free: 0, limit })).map(({ sessionId }) => sessionId),
    [session_id],
  )
  assert.deepEqual(await getTask(store.db, id), before, 'the end is for its attempt to write')
})

test('a touch is bounded as everything else that is asked of the database', async () => {
  assert.equal(store.connection.statement_timeout, 30_000)
  assert.equal(store.connection.query_timeout, 40_000)
  // Opening takes statements, too, each a moment.
  const short = { ...store, connection: { ...store.connection, statement_timeout: 2000 } }
  const log = createLog('silent')
  await using bounded = await WorkQueue.open({ store: short, clock, log, node: 'node-b' })
  await create()
  const [lease] = await bounded.claim(plenty)
  assert.ok(lease)
  await store.db.transaction().execute(async (trx) => {
    await queue.expedite(trx, lease.sessionId)
    await assert.rejects(bounded.touch(lease), /statement timeout/)
  })
})

test('the age of a delayed task counts from its start time, however long ago it was ordered', async () => {
  const startAt = clock.now() + longMs
  const { session_id: delayed } = await store.db
    .transaction()
    .execute((trx) =>
      createTask(trx, { queue, clock, limits }, { ...order, priority: 'low', startAt }, caller),
    )
  const { session_id: waiting } = await create('high')
  const old = 'update pgboss.job set created_on = now() - $2::interval where singleton_key = $1'
  await store.pool.query(old, [delayed, '2 days'])
  await store.pool.query(old, [waiting, '1 hour'])
  clock.jump(longMs)
  await store.pool.query('update pgboss.job set start_after = now() where singleton_key = $1', [
    delayed,
  ])
  await queueDue({ store, queue, clock, log: createLog('silent') })
  const claimed = await queue.claim(plenty)
  assert.deepEqual(
    claimed.map(({ sessionId }) => sessionId),
    [waiting, delayed],
  )
})
