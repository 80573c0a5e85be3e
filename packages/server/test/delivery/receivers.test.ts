/** Receivers that misbehave, and what the log of their deliveries shows of it. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Delivery } from '@longhaul/client/contract'
import { Webhook } from 'standardwebhooks'
import { updateTask } from '../../src/store/tasks.ts'
import { until } from '../support/until.ts'
import { callbackSecret, type OutboxStage, openStage, steps } from './outbox-stage.ts'

let stage: OutboxStage
before(async () => {
  stage = await openStage()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(() => stage.clear())

const wasTried = ({ last_error }: Delivery) => last_error !== null

async function started(): Promise<string> {
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  return id
}

test('the log has each request as it was sent and each answer, of a huge one its first 4 KiB', async () => {
  const endpoint = await stage.endpoint()
  await started()
  const headers = { 'x-trace': 'abc', 'x-long': 'y'.repeat(5000) }
  stage.receiver.answer = () => ({ status: 500, headers, body: '\0é'.repeat(1_000_000) })
  await using _sender = stage.sender()
  const { log, ...delivery } = await stage.delivery(endpoint, 'task.started', wasTried)
  const [got] = stage.receiver.received
  assert.equal(delivery.request_body, got?.body)
  assert.equal(log.length, 1)
  const [one] = log
  for (const [name, value] of Object.entries(one?.request_headers ?? {}))
    assert.equal(got?.headers[name], value)
  new Webhook(endpoint.secret).verify(got?.body ?? '', { ...one?.request_headers })
  assert.equal(one?.status, 500)
  assert.equal(one?.response_headers?.['x-trace'], 'abc')
  assert.equal(one?.response_headers?.['x-long'], undefined)
  assert.ok(Buffer.byteLength(one?.response_body ?? '') <= 4096 * 2)
  assert.match(one?.response_body ?? '', /^\ufffdé\ufffdé/)
  assert.match(one?.error ?? '', /^HTTP 500: /)
  assert.equal(delivery.status, 'pending')
  assert.ok(Date.parse(delivery.next_try_at ?? '') > Date.parse(one?.started_at ?? ''))
})

test('a redirect is logged and not followed', async () => {
  const endpoint = await stage.endpoint({ path: '/first' })
  const location = `http://127.0.0.1:${stage.receiver.port}/second`
  stage.receiver.answer = () => ({ status: 307, headers: { location } })
  await started()
  await using _sender = stage.sender()
  const { log, last_error: error } = await stage.delivery(endpoint, 'task.started', wasTried)
  assert.equal(error, 'HTTP 307: redirects are not followed')
  assert.equal(log[0]?.response_headers?.['location'], location)
  assert.deepEqual(
    stage.receiver.received.map(({ path }) => path),
    ['/first'],
  )
})

test('an endpoint that hangs is given up after 15 s each time, and others do not wait for it', async () => {
  const [slow, quick] = [
    await stage.endpoint({ path: '/slow' }),
    await stage.endpoint({ path: '/quick' }),
  ]
  stage.receiver.answer = ({ path }) => (path === '/slow' ? null : { status: 200 })
  const ids: string[] = []
  for (let n = 0; n < 25; n += 1) ids.push(await started())
  await using _sender = stage.sender()
  const of = (path: string) => stage.receiver.received.filter((got) => got.path === path)
  await until('the quick one has all', () => of('/quick').length === ids.length)
  assert.ok(of('/slow').length < 10, `${of('/slow').length} at once`)
  const path = `/v1/endpoints/${slow.id}/deliveries?limit=100`
  await until('tries of the slow one are over', async () => {
    stage.clock.advance(15_000)
    const { data } = await stage.ask<{ data: Delivery[] }>(200, 'GET', path)
    return data.some(({ last_error }) => last_error === 'no answer within 15000 ms')
  })
  const { data } = await stage.ask<{ data: Delivery[] }>(
    ...([200, 'GET', `/v1/endpoints/${quick.id}/deliveries?status=pending`] as const),
  )
  assert.deepEqual(data, [])
})

test('an address that was public when the endpoint was made is judged again at each try', async () => {
  const endpoint = await stage.endpoint()
  await stage.ask(200, 'POST', `/v1/endpoints/${endpoint.id}`, {
    body: { url: 'https://rebound.example/hook' },
  })
  await started()
  const asked: string[] = []
  const lookup = async (host: string) => {
    asked.push(host)
    return [{ address: '169.254.169.254', family: 4 }]
  }
  await using _sender = stage.sender({ lookup })
  const { log } = await stage.delivery(endpoint, 'task.started', wasTried)
  assert.match(log[0]?.error ?? '', /^rebound\.example:443 is not a public address/)
  assert.deepEqual([log[0]?.status, log[0]?.response_headers], [null, null])
  assert.deepEqual(asked, ['rebound.example'])
})

test('a test is sent once, signed, and its delivery says what came of it', async () => {
  const endpoint = await stage.endpoint()
  await using sender = stage.sender()
  const sent = await stage.ask<Delivery>(201, 'POST', `/v1/endpoints/${endpoint.id}/test`)
  assert.equal(sent.status, 'pending')
  sender.poke()
  const first = await stage.delivery(
    endpoint,
    'endpoint.test',
    ({ status }) => status === 'delivered',
  )
  assert.equal(first.log[0]?.status, 200)
  const [got] = stage.receiver.received
  const body = new Webhook(endpoint.secret).verify(got?.body ?? '', got?.headers ?? {})
  const { timestamp: _, ...rest } = Object(body)
  const data = { endpoint_id: endpoint.id }
  assert.deepEqual(rest, { type: 'endpoint.test', data, context: null })
  stage.receiver.answer = () => ({ status: 500 })
  const failing = await stage.ask<Delivery>(201, 'POST', `/v1/endpoints/${endpoint.id}/test`)
  sender.poke()
  await until('the test has failed', async () => {
    const now = await stage.ask<Delivery>(200, 'GET', `/v1/deliveries/${failing.id}`)
    return now.status === 'dead' && now.tries === 1
  })
})

test('a body beyond 256 KiB says only what a thin one says', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order({ callback_url: undefined })
  await stage.step(id, steps.started)
  await stage.step(id, steps.publishing)
  await updateTask(stage.server.store.db, id, {
    error: { reason: 'stalled', message: 'x'.repeat(300_000), next: 'Wait.' },
  })
  await stage.step(id, steps.waiting)
  const waiting = await stage.delivery(endpoint, 'task.waiting', () => true)
  const { data } = JSON.parse(waiting.request_body)
  assert.deepEqual(Object.keys(data), ['id', 'session_id', 'seq', 'status', 'truncated'])
  assert.equal(data.truncated, true)
  const first = await stage.delivery(endpoint, 'task.started', () => true)
  assert.equal('truncated' in JSON.parse(first.request_body).data, false)
})

test('deliveries are listed by status, page by page, and go with their endpoint', async () => {
  const endpoint = await stage.endpoint()
  const { id } = await stage.server.order()
  for (const to of [steps.started, steps.waiting, steps.started, steps.publishing, steps.done])
    await stage.step(id, to)
  const path = `/v1/endpoints/${endpoint.id}/deliveries`
  type Page = { data: Delivery[]; next_page: string | null }
  const first = await stage.ask<Page>(200, 'GET', `${path}?status=pending&limit=2`)
  assert.deepEqual(
    first.data.map(({ event, task_id: task, tries }) => [event, task, tries]),
    [
      ['task.completed', id, 0],
      ['task.waiting', id, 0],
    ],
  )
  const second = await stage.ask<Page>(200, 'GET', `${path}?limit=2&page=${first.next_page}`)
  assert.deepEqual(
    second.data.map(({ event }) => event),
    ['task.started'],
  )
  assert.equal(second.next_page, null)
  assert.deepEqual((await stage.ask<Page>(200, 'GET', `${path}?status=dead`)).data, [])
  await stage.ask(200, 'DELETE', `/v1/endpoints/${endpoint.id}`)
  await stage.ask(404, 'GET', `/v1/deliveries/${first.data[0]?.id}`)
})

test('a callback is a delivery, too, which its key may read and have sent again', async () => {
  const { store } = stage.server
  const url = `http://127.0.0.1:${stage.receiver.port}/callback`
  const { id } = await stage.server.order({ callback_url: url })
  await stage.ask(200, 'POST', `/v1/tasks/${id}/cancel`)
  await using sender = stage.sender()
  await until('the callback', () => stage.receiver.received.length === 1)
  const path = `/v1/deliveries/${id.replace('task_', 'dlv_')}`
  await until('it is noted', async () => (await stage.ask<Delivery>(200, 'GET', path)).tries === 1)
  await stage.ask(200, 'POST', `${path}/redeliver`)
  sender.poke()
  await until('the repeat', () => stage.receiver.received.length === 2)
  const [one, two] = stage.receiver.received
  assert.equal(one?.headers['webhook-id'], two?.headers['webhook-id'])
  for (const got of [one, two])
    new Webhook(callbackSecret).verify(got?.body ?? '', got?.headers ?? {})
  const { event_seq: seq } = await store.db
    .selectFrom('events')
    .select(({ fn }) => fn.max('seq').as('event_seq'))
    .where('type', '=', 'task.failed')
    .executeTakeFirstOrThrow()
  assert.equal(JSON.parse(one?.body ?? '').data.seq, seq)
})

test('tries are counted by event and outcome, and what waits by number and age', async () => {
  const endpoint = await stage.endpoint()
  const value = async (sample: string): Promise<number> => {
    const text = await (await stage.server.send('GET', '/metrics')).text()
    const line = text.split('\n').find((one) => one.startsWith(`longhaul_${sample} `))
    return Number(line?.split(' ').at(-1) ?? 0)
  }
  const outcome = (name: string) =>
    value(`deliveries_total{event="task.started",outcome="${name}"}`)
  const before = [await outcome('delivered'), await outcome('retried')] as const
  const waiting = await value('deliveries_waiting')
  await started()
  stage.clock.advance(7_000)
  assert.equal(await value('deliveries_waiting'), waiting + 1)
  assert.ok((await value('deliveries_oldest_age_seconds')) >= 7)
  stage.receiver.answer = () => ({ status: 500 })
  await using sender = stage.sender()
  await stage.delivery(endpoint, 'task.started', wasTried)
  stage.receiver.answer = () => ({ status: 200 })
  stage.clock.advance(5_000)
  sender.poke()
  await stage.delivery(endpoint, 'task.started', ({ status }) => status === 'delivered')
  await until('both are counted', async () => (await outcome('delivered')) === before[0] + 1)
  assert.equal(await outcome('retried'), before[1] + 1)
})

test('a delivery whose try is under way is not sent beside it on request, and one that waits is, at once', async () => {
  const ids = () => stage.receiver.received.map(({ headers }) => headers['webhook-id'])
  const endpoint = await stage.endpoint()
  stage.receiver.answer = () => null
  await started()
  await using sender = stage.sender()
  await until('a try', () => ids().length === 1)
  const { id: first } = await stage.delivery(endpoint, 'task.started', () => true)
  await stage.ask(200, 'POST', `/v1/deliveries/${first}/redeliver`)
  // What is due is taken together.
  await stage.ask(201, 'POST', `/v1/endpoints/${endpoint.id}/test`)
  sender.poke()
  await until('a test', () => ids().length >= 2)
  assert.equal(ids().filter((each) => each === first).length, 1)
  stage.clock.advance(15_000)
  await stage.delivery(endpoint, 'task.started', ({ last_error }) => last_error !== null)
  await stage.ask(200, 'POST', `/v1/deliveries/${first}/redeliver`)
  sender.poke()
  await until('another try', () => ids().length >= 3)
  assert.equal(ids().at(-1), first)
})
