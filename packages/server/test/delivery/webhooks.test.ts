import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Delivery } from '@longhaul/client/contract'
import type { PoolClient } from 'pg'
import { Webhook } from 'standardwebhooks'
import { createKey } from '../../src/http/first-key.ts'
import { reportProgress } from '../../src/tasks/report-progress.ts'
import { order } from '../http/fixture.ts'
import { until } from '../support/until.ts'
import { type Made, type OutboxStage, openStage, steps } from './outbox-stage.ts'

let stage: OutboxStage
before(async () => {
  stage = await openStage()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(() => stage.clear())

const day = 24 * 3_600_000
const received = () => stage.receiver.received
const bodies = () => received().map(({ body }) => JSON.parse(body))
const came = (count: number) => until(`${count} calls`, () => received().length >= count)

function progress(taskId: string, message: string): Promise<void> {
  const { server, clock } = stage
  return server.store.db
    .transaction()
    .execute((trx) => reportProgress(trx, { taskId, attempt: 0, progress: { message }, clock }))
}

/** Resolves when the only delivery that waits is claimed for that time. */
async function claimed(client: PoolClient, tries: number): Promise<void> {
  await until(`claim ${tries}`, async () => {
    const waiting = 'delivered_at is null and gave_up_at is null'
    const { rows } = await client.query(`select tries from deliveries where ${waiting}`)
    return rows.length === 1 && rows[0].tries === tries
  })
}

/** One that was settled, in that way. */
const isDead = ({ status }: Delivery) => status === 'dead'
const isDelivered = ({ status }: Delivery) => status === 'delivered'

test('an endpoint is told each step of its key’s tasks once, in order, signed, with the number of the event', async () => {
  const endpoint = await stage.endpoint({ path: '/hook' })
  const { id, session_id: session } = await stage.server.order({ context: { chat: 7 } })
  for (const to of [steps.started, steps.waiting, steps.started, steps.publishing, steps.done])
    await stage.step(id, to)
  await using _sender = stage.sender()
  await came(3)
  const verify = new Webhook(endpoint.secret)
  for (const { body, headers } of received()) verify.verify(body, headers)
  const told = bodies()
  assert.deepEqual(
    told.map(({ type }) => type),
    ['task.started', 'task.waiting', 'task.completed'],
  )
  const events = await stage.ask<{ data: { seq: number; type: string; reason?: string }[] }>(
    ...([200, 'GET', `/v1/sessions/${session}/events?types[]=task.completed`] as const),
  )
  const { type, timestamp, data, context } = told[2]
  assert.equal(type, 'task.completed')
  assert.equal(new Date(timestamp).toISOString(), timestamp)
  assert.deepEqual(context, { chat: 7 })
  assert.deepEqual(data, {
    ...{ id, session_id: session, seq: events.data[0]?.seq, type: 'refactor', priority: 'medium' },
    ...{ status: 'completed', reason: 'done', message: data.message, result: null, error: null },
  })
  assert.equal(told[1].data.reason, 'waiting_quota')
  assert.equal(new Set(received().map(({ headers }) => headers['webhook-id'])).size, 3)
})

test('an endpoint is told only what it asked for, and nothing of another key’s tasks', async () => {
  const key = await createKey(
    { store: stage.server.store, clock: stage.clock },
    { name: 'other', scopes: ['tasks:read', 'tasks:write'] },
  )
  await stage.endpoint({ path: '/other', key })
  await stage.endpoint({ path: '/ends', events: ['task.failed'] })
  await stage.endpoint({ path: '/all', payload: 'thin' })
  const { id, session_id: session } = await stage.server.order({ context: 'c' })
  await stage.step(id, steps.started)
  await stage.step(id, { status: 'failed', reason: 'stalled' })
  await using _sender = stage.sender()
  await came(3)
  const paths = received().map(({ path }) => path)
  assert.deepEqual(paths.toSorted(), ['/all', '/all', '/ends'])
  const last = received().findLast(({ path }) => path === '/all')
  const { timestamp: _, ...thin } = JSON.parse(last?.body ?? '')
  const { seq } = thin.data
  const data = { id, session_id: session, seq, status: 'failed' }
  assert.deepEqual(thin, { type: 'task.failed', data, context: 'c' })
  const theirs = await stage.ask<{ id: string }>(201, 'POST', '/v1/tasks', { body: order, key })
  await stage.ask(200, 'POST', `/v1/tasks/${theirs.id}/cancel`)
  await using _second = stage.sender()
  await came(4)
  assert.equal(received()[3]?.path, '/other')
})

test('a key that was revoked has nothing more told to its endpoints', async () => {
  const { store } = stage.server
  const key = await createKey({ store, clock: stage.clock }, { name: 'stolen' })
  const endpoint = await stage.endpoint({ key })
  const { id } = await stage.ask<{ id: string }>(201, 'POST', '/v1/tasks', { body: order, key })
  const revoked = { revoked_at: new Date() }
  await store.db.updateTable('keys').set(revoked).where('name', '=', 'stolen').execute()
  await stage.step(id, steps.started)
  const { data } = await stage.ask<{ data: [] }>(
    ...([200, 'GET', `/v1/endpoints/${endpoint.id}/deliveries`] as const),
  )
  assert.deepEqual(data, [])
})

test('for a day after a rotation both secrets verify, and then the new one alone', async () => {
  const endpoint = await stage.endpoint()
  const rotated = await stage.ask<Made>(200, 'POST', `/v1/endpoints/${endpoint.id}/rotate`)
  const [before, after] = [new Webhook(endpoint.secret), new Webhook(rotated.secret)]
  // The library compares with the time of this machine.
  const verify = (by: Webhook, at: number) => {
    const got = received()[at]
    const now = Math.floor(Date.now() / 1000)
    const sent = new Date(Number(got?.headers['webhook-timestamp']) * 1000)
    assert.ok(Math.abs(sent.getTime() - stage.clock.now()) < 60_000)
    const id = got?.headers['webhook-id'] ?? ''
    const valid = got?.headers['webhook-signature']
      ?.split(' ')
      .includes(by.sign(id, sent, got.body))
    assert.ok(now > 0)
    return valid
  }
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  await using sender = stage.sender()
  await came(1)
  assert.deepEqual([verify(before, 0), verify(after, 0)], [true, true])
  stage.clock.advance(day)
  await stage.step(id, steps.waiting)
  sender.poke()
  await came(2)
  assert.deepEqual([verify(before, 1), verify(after, 1)], [false, true])
})

test('what comes later in a task waits for what failed before it; other tasks and endpoints go on', async () => {
  const [down, up] = [
    await stage.endpoint({ path: '/down' }),
    await stage.endpoint({ path: '/up' }),
  ]
  const [one, two] = [await stage.server.order(), await stage.server.order()]
  let isDown = true
  stage.receiver.answer = ({ path, body }) =>
    isDown && path === '/down' && body.includes(one.id) ? { status: 503 } : { status: 200 }
  for (const { id } of [one, two]) {
    await stage.step(id, steps.started)
    await stage.step(id, steps.waiting)
  }
  await using sender = stage.sender()
  await came(7)
  const told = (path: string, id: string) =>
    received()
      .filter((got) => got.path === path && got.body.includes(id))
      .map(({ body }) => JSON.parse(body).type)
  assert.deepEqual(told('/down', one.id), ['task.started'])
  for (const rest of [told('/down', two.id), told('/up', one.id), told('/up', two.id)])
    assert.deepEqual(rest, ['task.started', 'task.waiting'])
  isDown = false
  stage.clock.advance(5_000)
  sender.poke()
  await came(9)
  assert.deepEqual(told('/down', one.id), ['task.started', 'task.started', 'task.waiting'])
  for (const { id } of [down, up]) {
    const path = `/v1/endpoints/${id}/deliveries?status=delivered`
    await until('all are noted', async () => {
      const { data } = await stage.ask<{ data: Delivery[] }>(200, 'GET', path)
      return data.length === 4
    })
  }
})

test('two senders keep the order of every task, and send each delivery once', async () => {
  await stage.endpoint()
  const failed = new Set<string>()
  // Every third is refused once.
  let calls = 0
  stage.receiver.answer = ({ headers }) => {
    const id = headers['webhook-id'] ?? ''
    calls += 1
    if (calls % 3 !== 0 || failed.has(id)) return { status: 200 }
    failed.add(id)
    return { status: 500 }
  }
  await using first = stage.sender()
  await using second = stage.sender()
  const tasks: string[] = []
  for (let n = 0; n < 12; n += 1) {
    const { id } = await stage.server.order()
    tasks.push(id)
    for (const to of [steps.started, steps.waiting, steps.started, steps.publishing, steps.done]) {
      await stage.step(id, to)
      first.poke()
      second.poke()
    }
  }
  const expected = tasks.length * 3
  await until('all have arrived', () => {
    stage.clock.advance(1_000)
    first.poke()
    second.poke()
    return received().length === expected + failed.size
  })
  assert.ok(failed.size >= 4)
  for (const id of tasks) {
    const told = received().filter(({ body }) => body.includes(id))
    const arrived = [...new Set(told.map(({ body }) => JSON.parse(body).type))]
    assert.deepEqual(arrived, ['task.started', 'task.waiting', 'task.completed'])
    const types = told.map(({ body }) => JSON.parse(body).type)
    assert.deepEqual(
      types,
      types.toSorted((a, b) => arrived.indexOf(a) - arrived.indexOf(b)),
    )
  }
})

test('a sender that stood still until another had its delivery sends nothing', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  const client = await stage.server.store.pool.connect()
  try {
    // It has claimed, and waits to read the endpoint.
    await client.query('begin; lock table endpoints in access exclusive mode')
    await using _still = stage.sender()
    await claimed(client, 1)
    stage.clock.advance(60_000)
    await using _next = stage.sender()
    await claimed(client, 2)
    await client.query('commit')
    await stage.delivery(endpoint, 'task.started', isDelivered)
  } finally {
    client.release()
  }
  assert.equal(received().length, 1)
})

test('an endpoint of one task is told of that alone, and goes with it', async () => {
  const [mine, other] = [await stage.server.order(), await stage.server.order()]
  const { id, ...endpoint } = await stage.endpoint({ task_id: mine.id, path: '/one' })
  assert.equal(endpoint.task_id, mine.id)
  for (const task of [mine, other]) {
    await stage.step(task.id, steps.started)
    await stage.step(task.id, { status: 'failed', reason: 'stalled' })
  }
  await using _sender = stage.sender()
  await came(2)
  assert.deepEqual(
    bodies().map(({ type, data }) => [type, data.id]),
    [
      ['task.started', mine.id],
      ['task.failed', mine.id],
    ],
  )
  const list = (query: string) => stage.ask<{ data: Delivery[] }>(200, 'GET', `/v1/${query}`)
  await until('both to be settled', async () => {
    const { data } = await list(`deliveries?task_id=${mine.id}&status=delivered`)
    return data.length === 2 && data.every((one) => one.endpoint_id === id)
  })
  assert.deepEqual((await list(`deliveries?task_id=${other.id}`)).data, [])
  assert.equal((await list(`endpoints?task_id=${mine.id}`)).data.length, 1)
  await stage.ask(200, 'DELETE', `/v1/tasks/${mine.id}`)
  await stage.ask(404, 'GET', `/v1/endpoints/${id}`)
})

test('after 24 hours a delivery is dead, the next one goes, and it is sent again on request', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  stage.receiver.answer = () => ({ status: 500, body: 'no' })
  await using sender = stage.sender()
  const from = stage.clock.now()
  const started = await stage.delivery(endpoint, 'task.started', () => true)
  let dead = started
  for (let tries = 1; dead.status !== 'dead'; tries += 1) {
    await until(`try ${tries}`, async () => {
      dead = await stage.ask(200, 'GET', `/v1/deliveries/${started.id}`)
      return dead.log.length === tries
    })
    if (dead.next_try_at === null) break
    stage.clock.advance(Date.parse(dead.next_try_at) - stage.clock.now())
    sender.poke()
  }
  const { tries } = dead
  assert.ok(tries >= 29 && tries <= 32, `${tries} tries`)
  assert.equal(received().length, tries)
  assert.ok(stage.clock.now() - from <= day)
  assert.equal(dead.log.length, tries)
  assert.equal(dead.next_try_at, null)
  await stage.step(id, steps.waiting)
  stage.receiver.answer = () => ({ status: 200 })
  sender.poke()
  await stage.delivery(endpoint, 'task.waiting', isDelivered)
  const again = await stage.ask<Delivery>(200, 'POST', `/v1/deliveries/${dead.id}/redeliver`)
  assert.deepEqual([again.status, again.tries], ['pending', 0])
  sender.poke()
  const arrived = await stage.delivery(endpoint, 'task.started', isDelivered)
  assert.equal(arrived.tries, 1)
  assert.equal(arrived.log.length, tries + 1)
  assert.equal(received().at(-1)?.headers['webhook-id'], dead.id)
  assert.equal(received().at(-1)?.body, dead.request_body)
})

test('an endpoint that answers 410 is disabled, and told the rest once it is enabled and asked to', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  await stage.step(id, steps.waiting)
  stage.receiver.answer = () => ({ status: 410 })
  await using sender = stage.sender()
  const waiting = await stage.delivery(endpoint, 'task.waiting', isDead)
  assert.equal(waiting.last_error, 'the endpoint was disabled')
  assert.equal((await stage.delivery(endpoint, 'task.started', isDead)).last_status, 410)
  const path = `/v1/endpoints/${endpoint.id}`
  assert.equal((await stage.ask<Made>(200, 'GET', path)).disabled_reason, 'gone')
  await stage.ask(409, 'POST', `/v1/deliveries/${waiting.id}/redeliver`)
  await stage.ask(200, 'POST', `/v1/tasks/${id}/cancel`)
  const { data } = await stage.ask<{ data: Delivery[] }>(200, 'GET', `${path}/deliveries`)
  assert.equal(data.length, 2, 'nothing is written for it')
  assert.equal(received().length, 1)
  await stage.ask(200, 'POST', path, { body: { disabled: false } })
  stage.receiver.answer = () => ({ status: 204 })
  await stage.ask(200, 'POST', `/v1/deliveries/${waiting.id}/redeliver`)
  sender.poke()
  await stage.delivery(endpoint, 'task.waiting', isDelivered)
})

test('progress is told at most every two seconds, the newest, once, and holds nothing up', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order()
  await using sender = stage.sender()
  const messages = () => bodies().map(({ data }) => data.progress?.message)
  await progress(id, 'one')
  sender.poke()
  await stage.delivery(endpoint, 'task.progress', isDelivered)
  await progress(id, 'two')
  await progress(id, 'three')
  sender.poke()
  stage.clock.advance(1_999)
  const { next_try_at: at } = await stage.delivery(endpoint, 'task.progress', () => true)
  assert.equal(Date.parse(at ?? ''), stage.clock.now() + 1)
  stage.receiver.answer = () => ({ status: 500 })
  stage.clock.advance(1)
  sender.poke()
  const failed = await stage.delivery(endpoint, 'task.progress', isDead)
  assert.deepEqual([failed.tries, failed.last_status], [1, 500])
  assert.deepEqual(messages(), ['one', 'three'])
  stage.receiver.answer = () => ({ status: 200 })
  await progress(id, 'four')
  await stage.step(id, steps.started)
  sender.poke()
  await stage.delivery(endpoint, 'task.started', isDelivered)
  assert.deepEqual(messages(), ['one', 'three', undefined])
})

test('progress whose sender died is not sent again, and does not hold the rest up', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order()
  await progress(id, 'one')
  const { db } = stage.server.store
  // What a claim leaves behind.
  const claimed = { tries: 1, next_try_at: new Date(stage.clock.now() + 60_000) }
  await db.updateTable('deliveries').set(claimed).where('type', '=', 'task.progress').execute()
  await stage.step(id, steps.started)
  await using sender = stage.sender()
  stage.clock.advance(60_000)
  sender.poke()
  await stage.delivery(endpoint, 'task.started', isDelivered)
  const lost = await stage.delivery(endpoint, 'task.progress', isDead)
  assert.equal(lost.last_error, 'its sender was cut off, and it is sent once')
  assert.equal(received().length, 1)
})
