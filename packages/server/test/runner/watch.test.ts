import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { LiveEvents } from '../../src/events/live.ts'
import { createLog } from '../../src/log.ts'
import { type Lease, WorkQueue } from '../../src/queue/work-queue.ts'
import { Ending } from '../../src/runner/ending.ts'
import { watch } from '../../src/runner/watch.ts'
import type { Store } from '../../src/store/open.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
let postgres: TestPostgres
let store: Store
let live: LiveEvents
let queue: WorkQueue
/** Its time alone counts, not what a look at the store takes. */
let clock: ManualClock
let lease: Lease
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
  clock = new ManualClock()
  live = await LiveEvents.open({ store, log, clock })
  queue = await WorkQueue.open({ store, clock, log, node: 'node-a' })
})
after(async () => {
  await queue[Symbol.asyncDispose]()
  await live[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})
beforeEach(async () => {
  const sessionId = await makeSession(store.db)
  await store.db
    .transaction()
    .execute((trx) => queue.enqueue(trx, { sessionId, priority: 'medium' }))
  const [claimed] = await queue.claim({ free: 1, limit: 100 })
  assert.ok(claimed)
  lease = claimed
})

const stepped = () => Promise.resolve()

/** Watches the lease while every touch hangs. */
async function whileTouchesHang(
  act: (o: {
    readonly ending: Ending
    readonly over: AbortController
    readonly watching: Promise<void>
  }) => Promise<void>,
): Promise<void> {
  const ending = new Ending()
  const over = new AbortController()
  await store.db.transaction().execute(async (trx) => {
    await queue.expedite(trx, lease.sessionId)
    const watched = { store, queue, live, lease, taskId: 'task_none', ending, clock, log, stepped }
    const watching = watch(watched, over.signal)
    await until('a touch to hang', async () => {
      const { rows } = await store.pool.query(
        "select from pg_stat_activity where application_name = 'pgboss' and wait_event_type = 'Lock'",
      )
      return rows.length > 0
    })
    await act({ ending, over, watching })
    over.abort()
    await watching
  })
}

test('a touch that hangs for 9 s is a lost lease', () =>
  whileTouchesHang(async ({ ending }) => {
    clock.advance(8000)
    assert.equal(ending.cause, null)
    clock.advance(1000)
    await until('the lease to count as lost', () => ending.cause?.kind === 'lost')
  }))

test('an attempt that is over does not wait for a touch that hangs', () =>
  whileTouchesHang(async ({ ending, over, watching }) => {
    over.abort()
    await watching
    assert.equal(ending.cause, null)
  }))

test('a date that is set back while a touch hangs keeps no lease for longer', () =>
  whileTouchesHang(async ({ ending }) => {
    clock.step(-3600_000)
    clock.advance(9000)
    await until('the lease to count as lost', () => ending.cause?.kind === 'lost')
  }))
