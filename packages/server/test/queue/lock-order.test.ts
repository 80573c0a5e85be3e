/** Everything that locks work, task and session at once: whoever comes second waits, nobody for ever. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { type Lease, WorkQueue } from '../../src/queue/work-queue.ts'
import type { RunnerDeps } from '../../src/runner/deps.ts'
import { environmentLimitsOf } from '../../src/runner/limits.ts'
import { endTaskOf, handBack } from '../../src/runner/settle.ts'
import { LeaseLost } from '../../src/store/lease-lost.ts'
import type { Store } from '../../src/store/open.ts'
import { listTasks } from '../../src/store/task-search.ts'
import { getTaskBySession } from '../../src/store/tasks.ts'
import { cancelTask } from '../../src/tasks/cancel.ts'
import { createTask } from '../../src/tasks/create.ts'
import { progressOf } from '../../src/tasks/progress.ts'
import { moveTask } from '../../src/tasks/transition.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { order } from './order.ts'

const tasksPerRound = 10
const rounds = 5
const cancelsPerTask = 3
const limits = environmentLimitsOf(loadConfig({}))
const caller = { keyId: 'key', name: 'somebody', scopes: ['*'] }

let postgres: TestPostgres
let store: Store
let queues: WorkQueue[]
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
  const open = (node: string) => WorkQueue.open({ store, clock, log: createLog('silent'), node })
  queues = await Promise.all([open('node-a'), open('node-b')])
})
after(async () => {
  for (const queue of queues) await queue[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

/** What a worker does with a lease, without an agent: begins, then ends the task or hands it back. */
async function attempt(queue: WorkQueue, lease: Lease): Promise<void> {
  const metrics = new Metrics()
  const deps = { store, queue, clock, metrics } as RunnerDeps
  const task = await getTaskBySession(store.db, lease.sessionId)
  if (task === undefined || task.completed_at !== null) {
    return store.db.transaction().execute((trx) => queue.complete(trx, lease))
  }
  const progress = progressOf(task.progress)
  const to = { status: 'running', reason: 'preparing' } as const
  const step = { taskId: task.id, to, attempt: lease.attempt, clock }
  await store.db.transaction().execute((trx) => moveTask(trx, step))
  await queue.touch(lease)
  if (lease.attempt < 3) {
    await handBack(deps, { task, lease, progress, delayMs: 0, why: 'Once more.' })
  } else {
    const state = { status: 'failed', reason: 'agent_error' } as const
    await endTaskOf(deps, { task, lease, progress, end: { state } })
  }
}

/** Claims and works until nothing is left. */
async function work(queue: WorkQueue): Promise<void> {
  for (let idle = 0; idle < 5; ) {
    const leases = await queue.claim({ free: 4, limit: 8 })
    idle = leases.length === 0 ? idle + 1 : 0
    const attempts = leases.map((lease) => attempt(queue, lease).catch(ignoreLost))
    await Promise.all([...attempts, queue.recover()])
  }
}

/** `recover` takes leases away in the middle of an attempt, which is half of the point. */
function ignoreLost(error: unknown): void {
  if (!(error instanceof LeaseLost)) throw error
}

test('claims, cancels, ends and returns of the same work that race never lock each other out', async () => {
  const before = await deadlocks()
  for (let round = 0; round < rounds; round += 1) {
    const [queue] = queues
    assert.ok(queue)
    const ordered = Array.from({ length: tasksPerRound }, () =>
      store.db
        .transaction()
        .execute((trx) => createTask(trx, { queue, clock, limits }, order, caller)),
    )
    const ids = (await Promise.all(ordered)).map(({ id }) => id)
    const cancels = Array.from({ length: cancelsPerTask }, () => ids).flat()
    await Promise.all([
      ...queues.map(work),
      ...cancels.map((id) =>
        cancelTask({ store, queue, clock, metrics: new Metrics() }, id, caller),
      ),
    ])
    await work(queue)
  }
  assert.equal(await deadlocks(), before)
  const tasks = await listTasks(store.db, { limit: 1000 })
  assert.deepEqual(new Set(tasks.map(({ status }) => status)), new Set(['failed']))
  assert.equal(tasks.length, rounds * tasksPerRound)
  assert.deepEqual(await queues[0]?.depth(), { waiting: 0, active: 0 })
})

/** PostgreSQL's own count: it finds those that were tried again, too. */
async function deadlocks(): Promise<number> {
  const { rows } = await store.pool.query<{ deadlocks: number }>(
    'select deadlocks from pg_stat_database where datname = current_database()',
  )
  return rows[0]?.deadlocks ?? assert.fail()
}
