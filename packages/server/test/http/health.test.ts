import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ServerAlert } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { createApp } from '../../src/http/app.ts'
import type { AppDeps } from '../../src/http/deps.ts'
import type { App } from '../../src/http/env.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { orderPolicy } from '../../src/tasks/policy.ts'
import { healthy, openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

test('the health routes need no key and tell what is wrong', async () => {
  const asked = async (path: string) => server.app.request(path)
  assert.deepEqual(await (await asked('/livez')).json(), { status: 'alive' })
  const ready = JSON.parse(await (await asked('/readyz')).text())
  assert.equal(ready.status, 'ready')
  const health = JSON.parse(await (await asked('/health')).text())
  assert.equal(health.status, 'healthy')
  assert.deepEqual(health.sandbox, healthy.sandbox())
})

const nowhere = {
  gitHubOrigin: 'https://github.com',
  allowPrivate: [],
  callbackAllow: [],
  clock: systemClock,
}

/** An app over the same store that is told otherwise how its parts are. */
function appThatIs(health: Partial<AppDeps['health']>): App {
  const never = () => Promise.reject(new Error('no order is sent here'))
  const { store } = server
  return createApp({
    ...{ store, clock: systemClock, log: createLog('silent'), version: '0.0.0-test' },
    metrics: new Metrics(),
    measureStore: () => Promise.resolve(),
    agents: { policy: { tools: [] }, create: never, change: never, archive: never },
    tasks: {
      policy: orderPolicy(nowhere),
      create: never,
      cancel: never,
      delete: never,
      answer: never,
      say: never,
    },
    environments: { create: never, change: never, archive: never },
    repositories: { create: never, change: never },
    schedules: { create: never, change: never, fireNow: never },
    endpoints: {
      ...{ problem: never, create: never, change: never, rotate: never, test: never },
      hideSecrets: never,
    },
    health: { ...healthy, ...health },
  })
}

test('a server without a model is ready and says so; without walls it is degraded', async () => {
  const gap = { what: 'No walls.', consequence: 'Agents see it all.', fix: 'Unset SANDBOX.' }
  const app = appThatIs({
    modelConfigured: false,
    sandbox: () => ({ ...healthy.sandbox(), driver: 'none', gaps: [gap] }),
  })
  const ready = await app.request('/readyz')
  assert.equal(ready.status, 200)
  const parts = JSON.parse(await ready.text())
  assert.equal(parts.model.ok, false)
  assert.match(parts.model.problem, /ANTHROPIC_API_KEY/)
  const health = JSON.parse(await (await app.request('/health')).text())
  assert.equal(health.status, 'degraded')
  assert.deepEqual([health.sandbox.driver, health.sandbox.gaps], ['none', [gap]])
})

test('an alert makes it degraded, and says what to do; it stays ready', async () => {
  const alert: ServerAlert = {
    name: 'queue_waiting',
    since: '2026-01-02T03:04:05.000Z',
    message: 'The oldest task waits.',
    fix: 'Raise TASK_CONCURRENCY.',
  }
  const app = appThatIs({ alerts: () => [alert] })
  const { status, alerts } = JSON.parse(await (await app.request('/health')).text())
  assert.deepEqual([status, alerts], ['degraded', [alert]])
  assert.equal((await app.request('/readyz')).status, 200)
})

test('a server that runs no tasks is well without a sandbox', async () => {
  const app = appThatIs({ sandbox: () => null })
  assert.equal((await app.request('/readyz')).status, 200)
  const health = JSON.parse(await (await app.request('/health')).text())
  assert.deepEqual([health.status, health.sandbox], ['healthy', null])
})

test('a server whose sandbox or queue does not work is not ready', async () => {
  const sandbox = () => ({
    ...healthy.sandbox(),
    ok: false,
    problem: 'bwrap is missing: install bubblewrap.',
  })
  const app = appThatIs({ sandbox, queueReady: () => false })
  const answer = await app.request('/readyz')
  assert.equal(answer.status, 503)
  const { status, sandbox: part, queue, store } = JSON.parse(await answer.text())
  assert.equal(status, 'not_ready')
  assert.match(part.problem, /install bubblewrap/)
  assert.deepEqual([queue.ok, store.ok], [false, true])
})
