import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Task } from '@longhaul/client/contract'
import { selectEvents } from '../../src/store/events.ts'
import { updateTask } from '../../src/store/tasks.ts'
import { openTestApp, order, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function ended(given: object = {}): Promise<Task> {
  const { id } = await server.order(given)
  const is = { status: 'failed', reason: 'checks_failed', completedAt: new Date() } as const
  await updateTask(server.store.db, id, is)
  return ask(200, 'GET', `/v1/tasks/${id}`)
}

async function ask(status: number, method: string, path: string, body?: unknown) {
  const answer = await server.send(method, path, body === undefined ? {} : { body })
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return JSON.parse(text)
}

const retry = (task: Task, edits?: object): Promise<Task> =>
  ask(201, 'POST', `/v1/tasks/${task.id}/retry`, edits)

/** What of a task is its order. */
function orderOf(task: object): object {
  const changed = { id: 0, session_id: 0, retry_of: 0, message: 0, error: 0 }
  return { ...task, ...changed, status: 0, reason: 0, created_at: 0, completed_at: 0 }
}

test('an ended task is ordered again: a new task with the same order and a session of its own', async () => {
  const first = await ended({
    type: 'deploy',
    commands: ['make deploy'],
    setup: [],
    priority: 'high',
    labels: ['nightly'],
    context: { chat: 1 },
    pull_request: { draft: true, team_reviewers: ['core'] },
  })
  assert.equal(first.retry_of, null)
  const answer = await server.send('POST', `/v1/tasks/${first.id}/retry`)
  assert.equal(answer.status, 201)
  const second: Task = JSON.parse(await answer.text())
  assert.equal(answer.headers.get('location'), `/v1/tasks/${second.id}`)
  assert.deepEqual(orderOf(second), orderOf(first))
  assert.equal(second.retry_of, first.id)
  assert.deepEqual([second.status, second.reason], ['pending', 'queued'])
  assert.notEqual(second.session_id, first.session_id)
  const [created] = await selectEvents(server.store.db, {
    ...{ sessionId: second.session_id, after: 0, limit: 1 },
  })
  assert.equal(created?.payload['retry_of'], first.id)
  assert.deepEqual(await ask(200, 'GET', `/v1/tasks/${first.id}`), first)
})

test('fields of the body replace those of the order, null takes one away, and a retry can be retried', async () => {
  const first = await ended({ checks: ['npm test'], workdir: 'api', labels: ['a'] })
  const edits = { instructions: 'Rename it to baz.', workdir: null, labels: ['b'], priority: 'low' }
  const second = await retry(first, edits)
  const expected = { ...first, ...edits }
  assert.deepEqual(orderOf(second), orderOf(expected))
  await ask(200, 'POST', `/v1/tasks/${second.id}/cancel`)
  const third = await retry(second, { type: 'deploy', commands: ['make'] })
  assert.equal(third.retry_of, second.id)
  assert.deepEqual([third.type, third.commands, third.labels], ['deploy', ['make'], ['b']])
  assert.deepEqual(second.agent, first.agent)
  assert.notEqual(third.agent?.id, second.agent?.id)
})

test('the start time has been, unless the edit has a new one', async () => {
  const first = await ended({ start_at: new Date(Date.now() + 3_600_000).toISOString() })
  assert.equal((await retry(first)).start_at, null)
  const start_at = new Date(Date.now() + 7_200_000).toISOString()
  const again = await retry(first, { start_at })
  assert.deepEqual([again.start_at, again.reason], [start_at, 'delayed'])
})

test('what the repository’s settings filled is filled anew, and what the order said stays', async () => {
  const url = 'https://github.com/acme/settings'
  const settings = { url, checks: ['old'], setup: ['old'], pull_request: { draft: true } }
  const allowed = { ...settings, allow_workflow_changes: true }
  const { id } = await ask(201, 'POST', '/v1/repositories', allowed)
  const first = await ended({ repo_url: url, setup: ['mine'], pull_request: { labels: ['x'] } })
  assert.deepEqual([first.checks, first.allow_workflow_changes], [['old'], true])
  await ask(200, 'POST', `/v1/repositories/${id}`, {
    checks: ['new'],
    allow_workflow_changes: null,
    pull_request: { draft: null },
  })
  const second = await retry(first)
  const { checks, setup, pull_request, from_repository } = second
  assert.equal(second.allow_workflow_changes, false, 'what was allowed then is not allowed now')
  assert.deepEqual([checks, setup, from_repository], [['new'], ['mine'], ['checks']])
  assert.deepEqual([pull_request.draft, pull_request.labels], [null, ['x']])
})

test('a retry is made once for each key, on each task', async () => {
  const [one, two] = [await ended(), await ended()]
  const send = async (task: Task, body: object) => {
    const headers = { 'idempotency-key': 'again' }
    const answer = await server.send('POST', `/v1/tasks/${task.id}/retry`, { headers, body })
    return { status: answer.status, id: JSON.parse(await answer.text()).id }
  }
  const racing = await Promise.all(Array.from({ length: 20 }, () => send(one, {})))
  assert.deepEqual(new Set(racing.map(({ status }) => status)), new Set([201]))
  assert.equal(new Set(racing.map(({ id }) => id)).size, 1)
  assert.equal((await send(one, { priority: 'low' })).status, 409)
  const other = await send(two, {})
  assert.equal(other.status, 201)
  assert.notEqual(other.id, racing[0]?.id)
})

test('the same body as an order is not the same order twice without a key', async () => {
  const first = await ended(order)
  assert.notEqual((await retry(first)).id, (await retry(first)).id)
})
