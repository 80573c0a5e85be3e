import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { openApiDocument } from '../../src/http/openapi.ts'
import { updateTask } from '../../src/store/tasks.ts'
import { openTestApp, order, type TestApp, workflowOrder } from './fixture.ts'

const lines: string[] = []
const logged = new Writable({
  write(chunk, _encoding, done) {
    lines.push(String(chunk))
    done()
  },
})
let server: TestApp

before(async () => {
  server = await openTestApp({ log: pino({ level: 'info' }, logged) })
})
after(() => server[Symbol.asyncDispose]())

const result = {
  summary: 'Renamed.',
  branch: 'agent/refactor-rename-abc',
  commits: [{ sha: 'a'.repeat(40), subject: 'Rename foo' }],
  pull_request_url: 'https://github.com/acme/app/pull/1',
  checks: {
    outcome: 'passed' as const,
    rounds: 1,
    results: [
      {
        command: 'npm test',
        outcome: 'passed' as const,
        exit_code: 0,
        duration_ms: 1200,
        output_tail: 'ok',
      },
    ],
  },
  usage: {
    input_tokens: 1,
    output_tokens: 2,
    cache_read_input_tokens: 3,
    cache_creation_input_tokens: 4,
  },
  cost_usd: 0.25,
}

test('an order at /api/workflows is a task in camelCase and milliseconds', async () => {
  const from = Date.now()
  const payload = { chat: 7, nested: { a: [1, null] } }
  const answer = await server.send('POST', '/api/workflows', {
    body: { ...workflowOrder, payload },
  })
  assert.equal(answer.status, 201)
  const made = JSON.parse(await answer.text())
  const { id, createdAt, ...rest } = made
  assert.match(id, /^task_[0-9a-z]{26}$/)
  assert.equal(answer.headers.get('location'), `/api/workflows/${id}`)
  assert.ok(createdAt >= from && createdAt <= Date.now())
  assert.deepEqual(rest, {
    type: 'refactor',
    priority: 'medium',
    status: 'pending',
    payload,
    startedAt: null,
    completedAt: null,
    result: null,
    error: null,
  })
  const read = await server.send('GET', `/api/workflows/${id}`)
  assert.deepEqual(JSON.parse(await read.text()), made)
})

test('the same order at /v1/tasks is a task in snake_case and RFC 3339', async () => {
  const given = {
    ...order,
    type: 'deploy',
    agent: { type: 'agent', id: `agent_${'4'.padStart(26, '0')}`, version: 1 },
    repo_url: 'git@github.com:acme/app.git',
    priority: 'high',
    base_branch: 'release/1.x',
    setup: [],
    checks: ['npm test'],
    commands: ['npm run deploy'],
    workdir: 'packages/api',
    time_limit_minutes: 1380,
    max_budget_usd: 0.5,
    pull_request: { draft: true, team_reviewers: ['core'] },
    callback_url: 'https://example.com/done?x=1',
    context: [1, { a: null }],
    payload: { k: 'v' },
    labels: ['team:web', 'nightly', 'team:web'],
    start_at: '2026-01-02T04:05:06+01:00',
  }
  const answer = await server.send('POST', '/v1/tasks', { body: given })
  assert.equal(answer.status, 201)
  const made = JSON.parse(await answer.text())
  const { id, session_id, created_at, created_by, message, ...rest } = made
  assert.match(session_id, /^sesn_[0-9a-z]{26}$/)
  assert.match(created_by, /^key_[0-9a-z]{26}$/)
  assert.equal(new Date(created_at).toISOString(), created_at)
  assert.equal(message, 'The task waits for a free slot.')
  assert.deepEqual(rest, {
    ...given,
    environment: { type: 'environment', id: `env_${'1'.padStart(26, '0')}`, version: 1 },
    sandbox: null,
    repo_url: 'https://github.com/acme/app',
    pull_request: { draft: true, reviewers: null, team_reviewers: ['core'], labels: null },
    commit: null,
    budget_deadline_minutes: null,
    budget_raise_to_usd: null,
    allow_workflow_changes: false,
    from_repository: [],
    labels: ['team:web', 'nightly'],
    start_at: '2026-01-02T03:05:06.000Z',
    status: 'pending',
    reason: 'queued',
    retry_of: null,
    result: null,
    error: null,
    started_at: null,
    completed_at: null,
    cancel_requested_at: null,
  })
  const read = await server.send('GET', `/v1/tasks/${id}`)
  assert.deepEqual(JSON.parse(await read.text()), made)
})

test('an ended task shows its result in both forms', async () => {
  const { id } = await server.order()
  const ended = { status: 'completed', reason: 'done', result, completedAt: new Date() } as const
  await updateTask(server.store.db, id, ended)
  const task = JSON.parse(await (await server.send('GET', `/v1/tasks/${id}`)).text())
  assert.deepEqual(task.result, result)
  const workflow = JSON.parse(await (await server.send('GET', `/api/workflows/${id}`)).text())
  assert.deepEqual(workflow.result, {
    summary: 'Renamed.',
    branch: 'agent/refactor-rename-abc',
    commits: result.commits,
    pullRequestUrl: 'https://github.com/acme/app/pull/1',
    checks: {
      outcome: 'passed',
      rounds: 1,
      results: [
        { command: 'npm test', outcome: 'passed', exitCode: 0, durationMs: 1200, outputTail: 'ok' },
      ],
    },
    usage: {
      inputTokens: 1,
      outputTokens: 2,
      cacheReadInputTokens: 3,
      cacheCreationInputTokens: 4,
    },
    costUsd: 0.25,
  })
})

for (const path of ['/v1/tasks', '/api/workflows']) {
  test(`GET ${path}/{id} has a strong tag that changes with the task, and a reader that has it gets 304`, async () => {
    const { id } = await server.order()
    const get = (tag?: string) =>
      server.send('GET', `${path}/${id}`, {
        headers: tag === undefined ? {} : { 'if-none-match': tag },
      })
    const first = await get()
    const tag = first.headers.get('etag') ?? ''
    assert.match(tag, /^"[\w-]{32}"$/)
    assert.equal(first.headers.get('cache-control'), 'private, no-cache')
    assert.equal((await server.send('HEAD', `${path}/${id}`)).headers.get('etag'), tag)
    for (const known of [tag, `"x", ${tag}`, `W/${tag}`, '*']) {
      const answer = await get(known)
      assert.deepEqual([answer.status, await answer.text()], [304, ''])
      assert.equal(answer.headers.get('etag'), tag)
      assert.match(answer.headers.get('request-id') ?? '', /^req_/)
    }
    for (const other of ['"x"', tag.replaceAll('"', ''), ''])
      assert.equal((await get(other)).status, 200)
    await updateTask(server.store.db, id, { status: 'completed', completedAt: new Date() })
    const changed = await get(tag)
    assert.equal(changed.status, 200)
    assert.notEqual(changed.headers.get('etag'), tag)
  })
}

test('a waiting task is cancelled once, and cancelling it again changes nothing', async () => {
  const { id } = await server.order()
  const first = await server.send('POST', `/v1/tasks/${id}/cancel`)
  const cancelled = JSON.parse(await first.text())
  assert.equal(first.status, 200)
  assert.equal(cancelled.status, 'failed')
  assert.equal(cancelled.reason, 'cancelled')
  assert.equal(cancelled.error.reason, 'cancelled')
  const second = await server.send('POST', `/v1/tasks/${id}/cancel`, { body: {} })
  assert.equal(second.status, 200)
  assert.deepEqual(JSON.parse(await second.text()), cancelled)
})

test('cancelling a task that ended otherwise is a conflict that is not worth a retry', async () => {
  const { id } = await server.order()
  await updateTask(server.store.db, id, { status: 'completed', reason: 'done' })
  const answer = await server.send('POST', `/v1/tasks/${id}/cancel`)
  assert.equal(answer.status, 409)
  assert.equal(answer.headers.get('x-should-retry'), 'false')
  const { error } = JSON.parse(await answer.text())
  assert.deepEqual(error, {
    type: 'invalid_request_error',
    message: 'The task has ended: it is completed, done.',
    details: { error_code: 'task_ended' },
  })
})

test('lists are newest first, page to the end, and filter by status', async () => {
  const made: string[] = []
  for (let n = 0; n < 5; n += 1) made.unshift((await server.order()).id)
  await updateTask(server.store.db, made[2] ?? '', { status: 'running', reason: 'agent' })
  const seen: string[] = []
  let page: string | null = ''
  while (page !== null) {
    const path: string = `/v1/tasks?limit=2${page && `&page=${page}`}`
    const list = JSON.parse(await (await server.send('GET', path)).text())
    assert.ok(list.data.length <= 2)
    seen.push(...list.data.map((one: { id: string }) => one.id))
    page = list.next_page
  }
  assert.deepEqual(seen.slice(0, 5), made)
  assert.equal(new Set(seen).size, seen.length)
  const running = await server.send('GET', '/api/workflows?status=running')
  const { data, nextPage } = JSON.parse(await running.text())
  assert.deepEqual(
    data.map((one: { id: string }) => one.id),
    [made[2]],
  )
  assert.equal(nextPage, null)
})

test('the OpenAPI document is 3.1 and has every route with its errors', async () => {
  const document = JSON.parse(await (await server.send('GET', '/openapi.json')).text())
  assert.equal(document.openapi, '3.1.0')
  const made = JSON.stringify(openApiDocument(server.app, document.info.version))
  assert.deepEqual(JSON.parse(made), document)
  assert.deepEqual(Object.keys(document.paths).sort(), [
    '/api/workflows',
    '/api/workflows/{id}',
    '/health',
    '/livez',
    '/metrics',
    '/readyz',
    '/v1/agents',
    '/v1/agents/{id}',
    '/v1/agents/{id}/archive',
    '/v1/agents/{id}/versions',
    '/v1/approvals',
    '/v1/audit',
    '/v1/deliveries',
    '/v1/deliveries/{id}',
    '/v1/deliveries/{id}/redeliver',
    '/v1/endpoints',
    '/v1/endpoints/{id}',
    '/v1/endpoints/{id}/deliveries',
    '/v1/endpoints/{id}/rotate',
    '/v1/endpoints/{id}/test',
    '/v1/environments',
    '/v1/environments/{id}',
    '/v1/environments/{id}/archive',
    '/v1/environments/{id}/versions',
    '/v1/keys',
    '/v1/keys/{id}',
    '/v1/keys/{id}/revoke',
    '/v1/repositories',
    '/v1/repositories/{id}',
    '/v1/schedules',
    '/v1/schedules/{id}',
    '/v1/schedules/{id}/fire',
    '/v1/schedules/{id}/fires',
    '/v1/sessions',
    '/v1/sessions/{id}',
    '/v1/sessions/{id}/archive',
    '/v1/sessions/{id}/events',
    '/v1/sessions/{id}/events/stream',
    '/v1/tasks',
    '/v1/tasks/{id}',
    '/v1/tasks/{id}/approvals',
    '/v1/tasks/{id}/approvals/{approval_id}',
    '/v1/tasks/{id}/artifacts',
    '/v1/tasks/{id}/artifacts/{name}',
    '/v1/tasks/{id}/cancel',
    '/v1/tasks/{id}/diff',
    '/v1/tasks/{id}/messages',
    '/v1/tasks/{id}/retry',
    '/v1/tasks/{id}/transcript',
    '/v1/workers',
    '/v1/workers/{id}',
    '/v1/workers/{id}/drain',
    '/v1/ws',
  ])
  const create = document.components.schemas.WorkflowCreate
  assert.equal(create.additionalProperties, false)
  assert.deepEqual(create.required, ['type', 'repoUrl', 'instructions'])
  assert.deepEqual(Object.keys(document.components.securitySchemes), ['bearer', 'apiKey'])
  assert.ok(document.paths['/v1/tasks'].post.responses['413'])
})

test('a failure of ours is a 500 that says nothing but its request id, and the log has the rest', async () => {
  const { db } = server.store
  await db.schema.alterTable('tasks').renameTo('tasks_away').execute()
  const answer = await server.send('GET', '/v1/tasks')
  await db.schema.alterTable('tasks_away').renameTo('tasks').execute()
  const text = await answer.text()
  assert.equal(answer.status, 500)
  assert.equal(JSON.parse(text).error.type, 'api_error')
  assert.doesNotMatch(text, /relation|select/)
  const id = answer.headers.get('request-id') ?? ''
  const about = lines.filter((line) => line.includes(id)).map((line) => JSON.parse(line))
  assert.match(about.find((line) => line.err)?.err.message, /relation "tasks" does not exist/)
})

test('each request is one log line with its route, and no secret in it', async () => {
  const { id } = await server.order()
  const answer = await server.send('GET', `/v1/tasks/${id}?`)
  const line = lines.find((one) => one.includes(answer.headers.get('request-id') ?? '?')) ?? '{}'
  const { level: _level, time: _time, pid: _pid, hostname: _host, ms, ...rest } = JSON.parse(line)
  assert.equal(typeof ms, 'number')
  assert.deepEqual(rest, {
    request_id: answer.headers.get('request-id'),
    method: 'GET',
    route: '/v1/tasks/:id',
    status: 200,
    key: 'tests',
    msg: 'request',
  })
  assert.ok(lines.every((one) => !one.includes(server.key)))
})

test('a key in x-api-key is as good as a bearer, and its use is noted', async () => {
  const headers = { 'x-api-key': server.key }
  assert.equal((await server.app.request('/v1/tasks', { headers })).status, 200)
  const { last_used_at: usedAt } = await server.store.db
    .selectFrom('keys')
    .select('last_used_at')
    .executeTakeFirstOrThrow()
  assert.ok(usedAt instanceof Date)
})
