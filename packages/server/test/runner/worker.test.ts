import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FakeGitHub, startFakeGitHub } from '@longhaul/testing'
import { systemClock as clock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { LiveEvents } from '../../src/events/live.ts'
import { Answers } from '../../src/gateway/answers.ts'
import { Bodies } from '../../src/gateway/bodies.ts'
import { Breaker } from '../../src/gateway/breaker.ts'
import { GitCredentials } from '../../src/gateway/credentials.ts'
import { Lookups } from '../../src/gateway/lookups.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { PriceTable } from '../../src/prices/price-table.ts'
import { WorkQueue } from '../../src/queue/work-queue.ts'
import { DiskFloor } from '../../src/runner/disk-floor.ts'
import { MemoryFloor } from '../../src/runner/memory-floor.ts'
import { Mirrors } from '../../src/runner/mirrors.ts'
import { Worker } from '../../src/runner/worker.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import type { SandboxDriver } from '../../src/sandbox/driver.ts'
import { AuditWriter } from '../../src/store/audit-writer.ts'
import type { Store } from '../../src/store/open.ts'
import { getSession } from '../../src/store/sessions.ts'
import { getTask, insertTask } from '../../src/store/tasks.ts'
import { makeDirectory, startPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
const never = () => Promise.reject(new Error('nothing is ordered here'))
const nobodyOrders = {
  policy: { repoUrl: () => null, callbackUrl: () => null, startAt: () => null },
  create: never,
}

test('a worker that claims what it still runs ends the earlier attempt before it starts the next', async () => {
  await using postgres = await startPostgres()
  await using store = await postgres.openStore()
  await using live = await LiveEvents.open({ store, log, clock })
  await using queue = await WorkQueue.open({ store, clock, log, node: store.node })
  await using directory = await makeDirectory()
  await using github = await startFakeGitHub()
  const { steps, sandboxes } = slowToClose(
    createSandboxDriver({ kind: 'none', dataDir: directory.path, log, clock }),
  )
  const dataDir = directory.path
  const metrics = new Metrics()
  await using audit = new AuditWriter({ store, clock, log })
  const config = loadConfig({
    ANTHROPIC_API_KEY: 'none',
    DATA_DIR: dataDir,
    REPOSITORY_CACHE_GIB: '0',
    GITHUB_URL: github.url,
    GITHUB_API_URL: github.apiUrl,
    GITHUB_TOKEN: github.token,
  })
  const credentials = new GitCredentials(config.github, { clock, log })
  await using worker = new Worker({
    ...{ store, queue, live, sandboxes, clock, log, node: store.node, config, dataDir, metrics },
    disk: new DiskFloor({ directory: dataDir, floorBytes: 0, metrics }),
    memory: new MemoryFloor({ floorBytes: 0, metrics }),
    ...{
      audit,
      credentials,
      breaker: new Breaker({ clock, metrics }),
      bodies: new Bodies({ log, metrics, clock }),
      answers: new Answers(),
      lookups: new Lookups({ clock }),
      prices: new PriceTable(),
    },
    mirrors: new Mirrors({ config, credentials, sandboxes, dataDir, audit, metrics, clock, log }),
    version: '0.0.0',
    publicUrl: new URL('http://127.0.0.1'),
    schedules: { ...nobodyOrders, store, queue, clock, metrics },
    egress: { presets: { package_registries: [] }, env: {} },
  })
  const cloning = holdFirstFetch(github)
  const { sessionId, taskId } = await order(store, { queue, github })
  await worker.start()
  await cloning

  // What the queue's supervisor does to a lease whose worker was silent for too long.
  const lapse = `update pgboss.job set state = 'retry' where state = 'active'`
  assert.equal((await store.pool.query(lapse)).rowCount, 1)
  await until(
    'the task to end',
    async () => (await getTask(store.db, taskId))?.status === 'failed',
    60_000,
  )
  // It came as far as that: nothing of the first one's end took the second one's way out.
  assert.equal((await getTask(store.db, taskId))?.reason, 'setup_failed')
  assert.equal((await getSession(store.db, sessionId))?.attempt, 2)
  assert.deepEqual(steps.slice(0, 3), ['opened 1', 'closed 1', 'opened 2'])
})

/** The first sandbox closes when a second one is open, or else after a while. */
function slowToClose(driver: SandboxDriver): { steps: string[]; sandboxes: SandboxDriver } {
  const steps: string[] = []
  const opened = Promise.withResolvers<void>()
  let count = 0
  const sandboxes: SandboxDriver = {
    ...driver,
    async open(spec) {
      const sandbox = await driver.open(spec)
      count += 1
      const number = count
      steps.push(`opened ${number}`)
      if (number === 2) opened.resolve()
      const close = sandbox[Symbol.asyncDispose].bind(sandbox)
      return Object.assign(sandbox, {
        async [Symbol.asyncDispose]() {
          await Promise.race([opened.promise, clock.sleep(2000)])
          await close()
          steps.push(`closed ${number}`)
        },
      })
    },
  }
  return { steps, sandboxes }
}

/** Never answers the first fetch; resolves when it came. */
function holdFirstFetch(github: FakeGitHub): Promise<void> {
  const came = Promise.withResolvers<void>()
  github.beforeRequest(({ action }) => {
    if (action !== 'fetch') return undefined
    github.beforeRequest(null)
    came.resolve()
    return Promise.withResolvers<never>().promise
  })
  return came.promise
}

/** A task whose set-up fails once it is cloned. */
async function order(store: Store, o: { queue: WorkQueue; github: FakeGitHub }) {
  const repository = await o.github.createRepository({ owner: 'acme', name: 'app' })
  const sessionId = await makeSession(store.db)
  const taskId = newId('task', clock)
  await insertTask(store.db, {
    ...{ id: taskId, sessionId, type: 'refactor', priority: 'medium' },
    ...{ status: 'pending', reason: 'queued', createdBy: null, now: new Date() },
    order: {
      type: 'refactor',
      repoUrl: repository.url,
      instructions: 'Mend.',
      priority: 'medium',
      setup: ['exit 1'],
      timeLimitMinutes: 5,
    },
  })
  await store.db
    .transaction()
    .execute((trx) => o.queue.enqueue(trx, { sessionId, priority: 'medium' }))
  return { sessionId, taskId }
}
