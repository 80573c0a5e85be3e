/** `POST /v1/tasks/{id}/messages`: what is accepted, what is refused, and what an ended task becomes. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { SessionEvent } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { newId, uuidOf } from '../../src/ids.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function say(id: string, body: object, headers: Record<string, string> = {}) {
  const answer = await server.send('POST', `/v1/tasks/${id}/messages`, { body, headers })
  return { status: answer.status, body: JSON.parse(await answer.text()), answer }
}

async function get(path: string) {
  const answer = await server.send('GET', path)
  return JSON.parse(await answer.text())
}

const sql = (text: string, values: unknown[] = []) => server.store.pool.query(text, values)

interface Ended {
  readonly order?: object
  readonly progress?: object
  readonly costUsd?: number
  readonly hasConversation?: boolean
}

/** A task as it is when its worker has ended it; nothing of a worker is needed for what follows. */
async function endedTask(o: Ended = {}) {
  const { id, session_id: sessionId } = await server.order(o.order)
  const result = { summary: 'Done so far.', branch: 'agent/x' }
  await sql('delete from pgboss.job where singleton_key = $1', [sessionId])
  await sql(
    `update tasks set status = 'failed', reason = 'checks_failed', started_at = now(),
      completed_at = now(), progress = $2, result = $3, error = $4 where id = $1`,
    [id, o.progress ?? {}, result, { reason: 'checks_failed', message: 'm', next: 'n' }],
  )
  await sql(`update sessions set status = 'terminated', cost_usd = $2 where id = $1`, [
    sessionId,
    o.costUsd ?? 0,
  ])
  if (o.hasConversation !== false) {
    await sql(
      `insert into transcript_entries (session_id, attempt, project_key, conversation_id, uuid, entry)
      values ($1, 1, $1, $2, 'u1', '{"type":"user","uuid":"u1"}')`,
      [sessionId, uuidOf(sessionId)],
    )
  }
  return { id, sessionId }
}

async function works(sessionId: string): Promise<number> {
  const { rows } = await sql('select 1 from pgboss.job where singleton_key = $1', [sessionId])
  return rows.length
}

test('a message to a task that waits is in the log at once, and not yet read', async () => {
  const { id, session_id: sessionId } = await server.order()
  const { status, body } = await say(id, { text: 'Use tabs.' })
  assert.equal(status, 201)
  const { id: event, seq, created_at, created_by, ...rest } = body
  assert.match(event, /^sevt_/)
  assert.ok(Date.parse(created_at) > 0)
  assert.match(created_by, /^key_/)
  assert.deepEqual(rest, {
    ...{ task_id: id, session_id: sessionId, mode: 'steer', text: 'Use tabs.' },
    ...{ reopened: false, processed_at: null },
  })
  const log = await get(`/v1/sessions/${sessionId}/events`)
  const last: SessionEvent = log.data.at(-1)
  assert.deepEqual(
    [last.id, last.seq, last.type, last.processed_at, last['mode'], last['content']],
    [event, seq, 'user.message', null, 'steer', [{ type: 'text', text: 'Use tabs.' }]],
  )
  // The order itself was processed when it was given.
  assert.notEqual(log.data[1].processed_at, null)
})

test('an interruption is an event of its own before its message', async () => {
  const { id, session_id: sessionId } = await server.order()
  await say(id, { text: 'Stop.', mode: 'interrupt' })
  const { data } = await get(`/v1/sessions/${sessionId}/events`)
  const types = data.slice(-2).map((event: SessionEvent) => [event.type, event.processed_at])
  assert.deepEqual(types, [
    ['user.interrupt', null],
    ['user.message', null],
  ])
})

test('twenty messages may wait, the next is told to come again; a text may be as long as an order', async () => {
  const { id, session_id: sessionId } = await server.order()
  const long = 'x'.repeat(100_000)
  assert.equal((await say(id, { text: long })).body.text, long)
  const more = Array.from({ length: 25 }, (_, i) => say(id, { text: `${i}` }))
  const answers = await Promise.all(more)
  assert.equal(answers.filter(({ status }) => status === 201).length, 19)
  const refused = answers.filter(({ status }) => status === 429)
  assert.equal(refused.length, 6)
  for (const { body } of refused) {
    assert.equal(body.error.type, 'rate_limit_error')
    assert.equal(body.error.details.error_code, 'too_many_messages')
    assert.match(body.error.message, /20 messages wait .* expected at most 20/)
  }
  const { rows } = await sql('select 1 from messages where session_id = $1', [sessionId])
  assert.equal(rows.length, 20)
})

test('a message with an Idempotency-Key is sent once', async () => {
  const { id, session_id: sessionId } = await server.order()
  const key = { 'idempotency-key': 'm-1' }
  const first = await say(id, { text: 'Once.' }, key)
  const again = await say(id, { text: 'Once.' }, key)
  assert.deepEqual(again.body, first.body)
  assert.equal(again.answer.headers.get('idempotency-replayed'), 'true')
  assert.equal((await say(id, { text: 'Twice.' }, key)).status, 409)
  const { rows } = await sql('select 1 from messages where session_id = $1', [sessionId])
  assert.equal(rows.length, 1)
})

test('a message to an ended task reopens it: everything of it stays, and it waits for a slot', async () => {
  const { id, sessionId } = await endedTask()
  const { status, body } = await say(id, { text: 'Go on.', mode: 'queue' })
  assert.equal(status, 201, JSON.stringify(body))
  assert.equal(body.reopened, true)
  const task = await get(`/v1/tasks/${id}`)
  assert.deepEqual(
    [task.status, task.reason, task.started_at, task.completed_at, task.error],
    ['pending', 'queued', null, null, null],
  )
  assert.equal(task.result.branch, 'agent/x')
  assert.equal(task.session_id, sessionId)
  assert.equal(await works(sessionId), 1)
  const { data } = await get(`/v1/sessions/${sessionId}/events`)
  const types = data.slice(-2).map(({ type }: SessionEvent) => type)
  assert.deepEqual(types, ['user.message', 'task.reopened'])

  // It may be cancelled before it goes on, and reopened again.
  const cancelled = await server.send('POST', `/v1/tasks/${id}/cancel`)
  const ended = JSON.parse(await cancelled.text())
  assert.deepEqual([ended.status, ended.reason], ['failed', 'cancelled'])
  assert.equal(ended.result.branch, 'agent/x')
  assert.equal(await works(sessionId), 0)
  assert.equal((await say(id, { text: 'After all.' })).body.reopened, true)
})

test('of follow-ups that race one reopens the task, and all of them will be read', async () => {
  const { id, sessionId } = await endedTask()
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => say(id, { text: `Number ${i}.` })),
  )
  assert.ok(answers.every(({ status }) => status === 201))
  assert.equal(answers.filter(({ body }) => body.reopened).length, 1)
  assert.equal(await works(sessionId), 1)
  const { data } = await get(`/v1/sessions/${sessionId}/events?types=task.reopened`)
  assert.equal(data.length, 1)
})

test('the message of a task that is given up or ends is refused, and says what to do', async () => {
  const cancelled = await server.order()
  await sql(
    `update tasks set status = 'running', reason = 'agent', started_at = now() where id = $1`,
    [cancelled.id],
  )
  await server.send('POST', `/v1/tasks/${cancelled.id}/cancel`)
  await refused(cancelled.id, 'task_ending', /is being cancelled/)
  const ending = await server.order()
  await sql(`update tasks set status = 'running', reason = 'agent', progress = $2 where id = $1`, [
    ending.id,
    { ending: { reason: 'timed_out' } },
  ])
  await refused(ending.id, 'task_ending', /is ending \(timed_out\).*when the task has ended/)
  const deploying = await server.order({ type: 'deploy', commands: ['make deploy'] })
  await sql(
    `update tasks set status = 'running', reason = 'publishing', progress = $2 where id = $1`,
    [deploying.id, { commandStarted: true }],
  )
  await refused(deploying.id, 'deploy_begun', /none of them is run twice/)
})

const unfit: readonly (readonly [what: string, code: string, says: RegExp, ended: Ended])[] = [
  [
    'without a conversation',
    'no_conversation',
    /before its agent said anything/,
    { hasConversation: false },
  ],
  [
    'whose work is only in a directory',
    'work_not_kept',
    /only in \/data\/x on the server/,
    { progress: { kept: { artifacts: [], directory: '/data/x' } } },
  ],
  [
    'with its budget used up',
    'budget_spent',
    /\$2\.00 of \$2\.00/,
    { order: { max_budget_usd: 2 }, costUsd: 2 },
  ],
  [
    'that ran its deploy commands',
    'deploy_begun',
    /order a new task/,
    {
      order: { type: 'deploy', commands: ['x'] },
      progress: { commands: [{ command: 'x', outcome: 'passed' }] },
    },
  ],
]
for (const [what, code, says, ended] of unfit) {
  test(`an ended task ${what} is not followed up, and nothing is stored`, async () => {
    const { id, sessionId } = await endedTask(ended)
    await refused(id, code, says)
    assert.equal(await works(sessionId), 0)
    assert.equal((await get(`/v1/tasks/${id}`)).status, 'failed')
    const { data } = await get(`/v1/sessions/${sessionId}/events?types=user.message`)
    assert.equal(data.length, 1)
  })
}

test('a task whose session is archived is not followed up', async () => {
  const { id, sessionId } = await endedTask()
  await sql('update sessions set archived_at = now() where id = $1', [sessionId])
  await refused(id, 'session_archived', /archived/)
})

test('there is nothing to say to a task that is not there', async () => {
  const answer = await say(newId('task', systemClock), { text: 'Hello?' })
  assert.equal(answer.status, 404)
})

async function refused(id: string, code: string, says: RegExp): Promise<void> {
  const { status, body, answer } = await say(id, { text: 'Also this.' })
  assert.equal(status, 409, JSON.stringify(body))
  assert.equal(body.error.details.error_code, code)
  assert.match(body.error.message, says)
  assert.equal(answer.headers.get('x-should-retry'), 'false')
}
