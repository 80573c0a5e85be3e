import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { TaskOrder } from '@longhaul/client/contract'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { WorkQueue } from '../../src/queue/work-queue.ts'
import { environmentLimitsOf } from '../../src/runner/limits.ts'
import { selectEvents } from '../../src/store/events.ts'
import type { Store } from '../../src/store/open.ts'
import type { TaskRow } from '../../src/store/tables.ts'
import { getTask } from '../../src/store/tasks.ts'
import { cancelTask } from '../../src/tasks/cancel.ts'
import { createTask } from '../../src/tasks/create.ts'
import { queueDue } from '../../src/tasks/queue-due.ts'
import { wakeDue } from '../../src/tasks/wake.ts'
import { order } from '../queue/order.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

const metrics = new Metrics()
const limits = environmentLimitsOf(loadConfig({}))
const caller = { keyId: 'key_1', name: 'tests', scopes: ['*'] }
const hourMs = 3_600_000
const plenty = { free: 10, limit: 100 }

let postgres: TestPostgres
let store: Store
let queue: WorkQueue
let clock: ManualClock
before(async () => {
  clock = new ManualClock()
  postgres = await startPostgres()
  store = await postgres.openStore()
  queue = await WorkQueue.open({ store, clock, log, node: 'node-a' })
})
after(async () => {
  await queue[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})
afterEach(() => store.pool.query('delete from pgboss.job'))

function create(given: Partial<TaskOrder>): Promise<TaskRow> {
  const whole = { ...order, ...given }
  return store.db
    .transaction()
    .execute((trx) => createTask(trx, { queue, clock, limits }, whole, caller))
}

const log = createLog('silent')
const due = () => queueDue({ store, queue, clock, log })

async function reasonOf({ id }: TaskRow): Promise<string | undefined> {
  return (await getTask(store.db, id))?.reason
}

async function claimed(): Promise<string[]> {
  return (await queue.claim(plenty)).map(({ sessionId }) => sessionId)
}

test('a delayed task is queued when its time comes, once, and its log says so', async () => {
  const task = await create({ startAt: clock.now() + hourMs })
  assert.deepEqual([task.status, task.reason], ['pending', 'delayed'])
  clock.advance(hourMs - 1)
  await due()
  assert.equal(await reasonOf(task), 'delayed')
  assert.deepEqual(await claimed(), [])
  clock.advance(1)
  await Promise.all([due(), due(), due()])
  assert.equal(await reasonOf(task), 'queued')
  const events = await selectEvents(store.db, {
    ...{ sessionId: task.session_id, after: 0, limit: 10 },
    types: ['task.updated'],
  })
  assert.deepEqual(
    events.map(({ payload }) => [payload['status'], payload['reason']]),
    [['pending', 'queued']],
  )
  assert.deepEqual(await claimed(), [task.session_id])
})

test('a start time that has passed is no delay', async () => {
  const task = await create({ startAt: clock.now() })
  assert.equal(task.reason, 'queued')
  assert.deepEqual(await claimed(), [task.session_id])
})

test('a delayed task that is cancelled ends at once, and its time means nothing any more', async () => {
  const task = await create({ startAt: clock.now() + hourMs })
  const ended = await cancelTask({ store, queue, clock, metrics }, task.id, caller)
  assert.deepEqual([ended?.status, ended?.reason], ['failed', 'cancelled'])
  clock.advance(hourMs)
  await due()
  assert.equal(await reasonOf(task), 'cancelled')
  assert.deepEqual(await queue.depth(), { waiting: 0, active: 0 })
})

test('cancelling and becoming due may race: the task ends, and nothing of it waits', async () => {
  const tasks = await Promise.all(
    Array.from({ length: 20 }, () => create({ startAt: clock.now() + hourMs })),
  )
  clock.advance(hourMs)
  const cancels = tasks.map(({ id }) => cancelTask({ store, queue, clock, metrics }, id, caller))
  await Promise.all([due(), ...cancels, due()])
  assert.deepEqual(new Set(await Promise.all(tasks.map(reasonOf))), new Set(['cancelled']))
  assert.deepEqual(await queue.depth(), { waiting: 0, active: 0 })
})

test('what became due goes by priority, as if it had been ordered in time', async () => {
  const startAt = clock.now() + hourMs
  const low = await create({ startAt, priority: 'low' })
  const waiting = await create({ priority: 'medium' })
  const high = await create({ startAt, priority: 'high' })
  clock.advance(hourMs)
  await due()
  assert.deepEqual(await claimed(), [high.session_id, waiting.session_id, low.session_id])
})

test('one row that cannot go on keeps neither the others from it nor the node from claiming', async () => {
  const startAt = clock.now() + hourMs
  const broken = await create({ startAt })
  const delayed = await create({ startAt: startAt + 1 })
  const parked = [await create({}), await create({})]
  await claimed()
  const ids = parked.map(({ id }) => id)
  await store.pool.query(
    `update tasks set status = 'running', reason = 'waiting_quota', parked_at = now(),
       wake_at = to_timestamp($2) + interval '1 second' * array_position($1::text[], id)
     where id = any($1)`,
    [ids, (startAt - 10_000) / 1000],
  )
  // The first of each list, whatever it is that it cannot do.
  const none = [broken.id, ids[0]].map((id) => `'${id}'`).join(', ')
  await store.pool.query(`
    alter table tasks add constraint none check (
      id not in (${none}) or reason in ('delayed', 'waiting_quota'))`)
  clock.advance(hourMs + 1)
  await due()
  await wakeDue({ store, queue, clock, log })
  assert.deepEqual(await Promise.all([broken, delayed].map(reasonOf)), ['delayed', 'queued'])
  const reasons = await Promise.all(parked.map(reasonOf))
  assert.equal(reasons[0], 'waiting_quota')
  assert.notEqual(reasons[1], 'waiting_quota')
  await store.pool.query('alter table tasks drop constraint none')
})
