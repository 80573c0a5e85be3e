/** `Idempotency-Key`: one order, however often and by how many it is sent. */
import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'
import { type Listening, listen } from '../../src/http/listen.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openTestApp, order, type TestApp, workflowOrder } from './fixture.ts'

const dayMs = 24 * 3600 * 1000

let server: TestApp
let web: Listening
let clock: ManualClock
before(async () => {
  clock = new ManualClock()
  server = await openTestApp({ clock })
  web = await listen(server.app, { host: '127.0.0.1', port: 0, clock: systemClock })
})
after(async () => {
  await web[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

interface Answer {
  readonly status: number
  readonly text: string
  readonly replayed: string | null
  readonly location: string | null
}

async function post(path: string, key: string, body: unknown, apiKey = server.key) {
  const authorization = `Bearer ${apiKey}`
  const headers = { 'idempotency-key': key, authorization }
  const answer = await server.send('POST', path, { headers, body })
  return {
    status: answer.status,
    text: await answer.text(),
    replayed: answer.headers.get('idempotency-replayed'),
    location: answer.headers.get('location'),
  }
}

/** Sends it over a connection of its own. */
function postAlone(path: string, key: string, body: unknown): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const headers = {
    'idempotency-key': key,
    authorization: `Bearer ${server.key}`,
    'content-type': 'application/json',
  }
  const agent = new Agent({ keepAlive: false })
  const sent = request(`${web.url}${path}`, { method: 'POST', headers, agent }, (incoming) => {
    let text = ''
    incoming.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    incoming.once('end', () => {
      const replayed = String(incoming.headers['idempotency-replayed'] ?? '') || null
      const location = incoming.headers.location ?? null
      resolve({ status: incoming.statusCode ?? 0, text, replayed, location })
    })
  })
  sent.once('error', reject)
  sent.end(JSON.stringify(body))
  return promise
}

async function count(table: 'tasks' | 'sessions' | 'idempotency_keys'): Promise<number> {
  const { rows } = await server.store.pool.query(`select count(*)::int as n from ${table}`)
  return rows[0].n
}

async function work(): Promise<number> {
  const { rows } = await server.store.pool.query('select count(*)::int as n from pgboss.job')
  return rows[0].n
}

for (const [path, body] of [
  ['/v1/tasks', order],
  ['/api/workflows', workflowOrder],
] as const) {
  test(`20 orders that race to ${path} with one key make one task, and all are answered it`, async () => {
    const before = [await count('tasks'), await count('sessions'), await work()]
    const racing = Array.from({ length: 20 }, () => postAlone(path, 'race', body))
    const answers = await Promise.all(racing)
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
    assert.equal(new Set(answers.map(({ location }) => location)).size, 1)
    const { id } = JSON.parse(answers[0]?.text ?? '')
    assert.equal(answers[0]?.location, `${path}/${id}`)
    assert.equal(answers.filter(({ replayed }) => replayed === null).length, 1)
    assert.equal(answers.filter(({ replayed }) => replayed === 'true').length, 19)
    const now = [await count('tasks'), await count('sessions'), await work()]
    assert.deepEqual(
      now,
      before.map((n) => n + 1),
    )
  })

  test(`two bodies that race to ${path} with one key: one wins, the other is a conflict`, async () => {
    const before = await count('tasks')
    const bodies = [body, { ...body, instructions: 'Something else.' }]
    const racing = Array.from({ length: 20 }, (_, i) => postAlone(path, 'duel', bodies[i % 2]))
    const answers = await Promise.all(racing)
    const won = answers.filter(({ status }) => status === 201)
    const lost = answers.filter(({ status }) => status === 409)
    assert.deepEqual([won.length, lost.length], [10, 10])
    assert.equal(new Set(won.map(({ text }) => text)).size, 1)
    for (const { text } of lost)
      assert.equal(JSON.parse(text).error.details.error_code, 'idempotency_key_reused')
    assert.equal(await count('tasks'), before + 1)
  })
}

test('a repeat is answered what the first was, whatever became of the task meanwhile', async () => {
  const first = await post('/v1/tasks', 'again', order)
  const { id } = JSON.parse(first.text)
  assert.equal((await server.send('POST', `/v1/tasks/${id}/cancel`)).status, 200)
  const { replayed, ...same } = await post('/v1/tasks', 'again', order)
  assert.equal(replayed, 'true')
  assert.deepEqual({ ...same, replayed: null }, first)
})

test('a body is the same whatever the order of its fields and the spaces between them', async () => {
  const first = await post('/v1/tasks', 'form', {
    ...order,
    payload: { a: 1, b: [{ c: 2, d: 3 }] },
  })
  const other = `{ "payload": {"b":[{"d":3,"c":2}], "a":1.0},\n${JSON.stringify(order).slice(1)}`
  const second = await post('/v1/tasks', 'form', other)
  assert.deepEqual([second.status, second.replayed, second.text], [201, 'true', first.text])
  const swapped = { ...order, payload: { a: 1, b: [{ c: 3, d: 2 }] } }
  assert.equal((await post('/v1/tasks', 'form', swapped)).status, 409)
})

test('a conflict says what happened, and that trying again does not help', async () => {
  await post('/v1/tasks', 'told', order)
  const headers = { 'idempotency-key': 'told' }
  const body = { ...order, priority: 'high' }
  const answer = await server.send('POST', '/v1/tasks', { headers, body })
  assert.equal(answer.status, 409)
  assert.equal(answer.headers.get('x-should-retry'), 'false')
  assert.equal(answer.headers.get('location'), null)
  const { error } = JSON.parse(await answer.text())
  assert.equal(error.type, 'invalid_request_error')
  assert.equal(error.details.error_code, 'idempotency_key_reused')
  assert.match(error.message, /^idempotency-key: it was used for another body/)
})

test('a key is its caller’s own, and counts on one route', async () => {
  const { store } = server
  const other = await createKey({ store, clock }, { name: 'other' })
  const answers = [
    await post('/v1/tasks', 'mine', order),
    await post('/v1/tasks', 'mine', order, other),
    await post('/api/workflows', 'mine', workflowOrder),
    await post('/v1/tasks', 'Mine', order),
  ]
  assert.ok(answers.every(({ status, replayed }) => status === 201 && replayed === null))
  assert.equal(new Set(answers.map(({ text }) => JSON.parse(text).id)).size, 4)
})

test('a request that is refused, or fails, leaves its key unused', async () => {
  const refused = await post('/v1/tasks', 'free', { ...order, type: 'nonsense' })
  assert.equal(refused.status, 400)
  const { db } = server.store
  await db.schema.alterTable('events').renameTo('events_away').execute()
  const failed = await post('/v1/tasks', 'free', order)
  await db.schema.alterTable('events_away').renameTo('events').execute()
  assert.equal(failed.status, 500)
  const made = await post('/v1/tasks', 'free', { ...order, priority: 'high' })
  assert.deepEqual([made.status, made.replayed], [201, null])
})

test('a body that is nested too deep is refused with a key as without one, naming the field', async () => {
  const { id } = await server.order()
  assert.equal((await server.send('POST', `/v1/tasks/${id}/cancel`)).status, 200)
  const path = `/v1/tasks/${id}/retry`
  for (const levels of [33, 5000, 400_000]) {
    const body = `{"payload":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}`
    const { status, text } = await post(path, `deep-${levels}`, body)
    assert.equal(status, 400, text)
    const { fields } = JSON.parse(text).error.details
    assert.deepEqual(fields, [
      { field: 'payload', message: 'expected JSON of at most 32 levels, got an object' },
    ])
    const without = await server.send('POST', path, { body })
    assert.deepEqual(JSON.parse(await without.text()).error.details.fields, fields)
  }
})

test('a key is as good as new after 30 days, and rows that old are removed', async () => {
  const body = { ...order, priority: 'low' }
  await post('/v1/tasks', 'old', body)
  clock.advance(30 * dayMs - 1)
  assert.equal((await post('/v1/tasks', 'old', body)).replayed, 'true')
  assert.ok((await count('idempotency_keys')) > 1)
  clock.advance(1)
  const other = await post('/v1/tasks', 'old', order)
  assert.deepEqual([other.status, other.replayed], [201, null])
  assert.equal(await count('idempotency_keys'), 1)
  assert.equal((await post('/v1/tasks', 'old', order)).text, other.text)
})
