import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Scope } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

/** The samples of a scrape, by name and labels. */
async function scrape(): Promise<Map<string, number>> {
  const answer = await server.send('GET', '/metrics')
  assert.equal(answer.status, 200)
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
  const lines = (await answer.text()).split('\n').filter((line) => /^[a-z]/.test(line))
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [line.slice(0, at), Number(line.slice(at + 1))]
    }),
  )
}

test('a scrape needs a key that may read', async () => {
  assert.equal((await server.app.request('/metrics')).status, 401)
  const of = (scopes: readonly Scope[]) =>
    createKey({ store: server.store, clock: systemClock }, { name: 'scraper', scopes })
  const asked = async (key: string) =>
    (await server.app.request('/metrics', { headers: { 'x-api-key': key } })).status
  assert.equal(await asked(await of(['tasks:write'])), 403)
  assert.equal(await asked(await of(['tasks:read'])), 200)
})

test('the queue is measured by priority and status, and a cancelled task is counted', async () => {
  const depth = (priority: string, status: string) =>
    `longhaul_queue_depth{priority="${priority}",status="${status}"}`
  const ended = 'longhaul_tasks_ended_total{type="refactor",status="failed",reason="cancelled"}'
  const empty = await scrape()
  assert.equal(empty.get(depth('high', 'waiting')), 0)
  assert.equal(empty.get(ended), undefined)
  const { id } = await server.order({ priority: 'high' })
  await server.order({ priority: 'low' })
  const full = await scrape()
  assert.equal(full.get(depth('high', 'waiting')), 1)
  assert.equal(full.get(depth('low', 'waiting')), 1)
  assert.equal(full.get(depth('medium', 'waiting')), 0)
  assert.ok((full.get('longhaul_queue_oldest_age_seconds{priority="high"}') ?? 0) > 0)
  await server.send('POST', `/v1/tasks/${id}/cancel`)
  const after = await scrape()
  assert.equal(after.get(depth('high', 'waiting')), 0)
  assert.equal(after.get(ended), 1)
})

test('requests are counted by the pattern of their route; nothing a caller chooses is a label', async () => {
  const { id } = await server.order()
  await server.send('GET', `/v1/tasks/${id}`)
  await server.send('GET', '/v1/secret-place')
  await server.send('BREW', '/v1/tasks')
  const samples = await scrape()
  const count = (method: string, route: string, status: number) =>
    samples.get(
      `longhaul_http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"}`,
    )
  assert.equal(count('GET', '/v1/tasks/:id', 200), 1)
  assert.equal(count('GET', 'unknown', 404), 1)
  assert.equal(count('other', 'unknown', 405), 1)
  const names = [...samples.keys()].join('\n')
  assert.doesNotMatch(names, /secret-place|BREW|task_[0-9a-z]{26}/)
})
