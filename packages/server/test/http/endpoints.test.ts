import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Scope } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'

import { openTestApp, type TestApp } from './fixture.ts'
import { expectRefusal, short } from './refusal.ts'

let server: TestApp
before(async () => {
  const lookup = async (host: string) => {
    if (host === 'nowhere.example') throw new Error('ENOTFOUND')
    const inside = host === 'inside.example' || host === 'localhost'
    return [{ address: inside ? '10.0.0.7' : '93.184.215.14', family: 4 }]
  }
  const callbackAllow = [{ host: '127.0.0.1', port: 8080 }]
  server = await openTestApp({ lookup, callbackAllow })
})
after(() => server[Symbol.asyncDispose]())

const url = 'https://hooks.example/longhaul'
const unknown = `endp_${'0'.repeat(26)}`

async function ask(
  status: number,
  method: string,
  path: string,
  o: { body?: object; key?: string } = {},
) {
  const headers = o.key === undefined ? {} : { authorization: `Bearer ${o.key}` }
  const answer = await server.send(method, path, { headers, ...(o.body && { body: o.body }) })
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return JSON.parse(text)
}

const make = (body: object = {}, key?: string) =>
  ask(201, 'POST', '/v1/endpoints', { body: { url, ...body }, ...(key !== undefined && { key }) })

/** Nobody hears of another key's task through an endpoint. */
async function expectHidden(key: string, taskId: string): Promise<void> {
  await ask(404, 'POST', '/v1/endpoints', { body: { url, task_id: taskId }, key })
  const { data } = await ask(200, 'GET', `/v1/deliveries?task_id=${taskId}`, { key })
  assert.deepEqual(data, [])
}

function keyOf(...scopes: Scope[]): Promise<string> {
  return createKey({ store: server.store, clock: systemClock }, { name: 'other', scopes })
}

test('an endpoint is made with a secret that is shown this once', async () => {
  const { id, secret, created_at: at, created_by: by, ...rest } = await make()
  assert.match(id, /^endp_[0-9a-z]{26}$/)
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.match(by, /^key_/)
  const shown = {
    ...{ type: 'endpoint', url, name: '', events: null, payload: 'full', updated_at: at },
    ...{ disabled_at: null, disabled_reason: null, previous_secret_expires_at: null },
    ...{ failing_since: null, task_id: null },
  }
  assert.deepEqual(rest, shown)
  const expected = { id, created_at: at, created_by: by, ...shown }
  assert.deepEqual(await ask(200, 'GET', `/v1/endpoints/${id}`), expected)
  const { data } = await ask(200, 'GET', '/v1/endpoints?limit=1')
  assert.deepEqual(data, [expected])
})

test('a change leaves what it does not name, and a rotation makes another secret', async () => {
  const given = { name: 'Bot', events: ['task.failed'], payload: 'thin' }
  const { id, secret } = await make(given)
  const changed = await ask(200, 'POST', `/v1/endpoints/${id}`, { body: { events: null } })
  assert.deepEqual([changed.name, changed.events, changed.payload], ['Bot', null, 'thin'])
  const other = 'https://hooks.example/other'
  assert.equal((await ask(200, 'POST', `/v1/endpoints/${id}`, { body: { url: other } })).url, other)
  const rotated = await ask(200, 'POST', `/v1/endpoints/${id}/rotate`)
  assert.notEqual(rotated.secret, secret)
  const overlap = Date.parse(rotated.previous_secret_expires_at) - Date.parse(rotated.updated_at)
  assert.equal(overlap, 24 * 3_600_000)
  const off = await ask(200, 'POST', `/v1/endpoints/${id}`, { body: { disabled: true } })
  assert.deepEqual([typeof off.disabled_at, off.disabled_reason], ['string', 'requested'])
  const refused = await ask(409, 'POST', `/v1/endpoints/${id}/test`)
  assert.equal(refused.error.details.error_code, 'endpoint_disabled')
  const on = await ask(200, 'POST', `/v1/endpoints/${id}`, { body: { disabled: false } })
  assert.deepEqual([on.disabled_at, on.disabled_reason], [null, null])
  const gone = await ask(200, 'DELETE', `/v1/endpoints/${id}`)
  assert.deepEqual(gone, { id, type: 'endpoint_deleted' })
  await ask(404, 'GET', `/v1/endpoints/${id}`)
})

test('a key sees and touches its own endpoints; one of every scope those of all', async () => {
  const [one, two] = [
    await keyOf('tasks:read', 'tasks:write'),
    await keyOf('tasks:read', 'tasks:write'),
  ]
  const { id } = await make({}, one)
  const test = await ask(201, 'POST', `/v1/endpoints/${id}/test`, { key: one })
  for (const [method, path] of [
    ['GET', `/v1/endpoints/${id}`],
    ['POST', `/v1/endpoints/${id}/rotate`],
    ['POST', `/v1/endpoints/${id}/test`],
    ['GET', `/v1/endpoints/${id}/deliveries`],
    ['GET', `/v1/deliveries/${test.id}`],
    ['POST', `/v1/deliveries/${test.id}/redeliver`],
    ['DELETE', `/v1/endpoints/${id}`],
  ] as const) {
    const refused = await ask(404, method, path, { key: two })
    assert.match(refused.error.message, /^There is no (endpoint|delivery) /)
  }
  await ask(404, 'POST', `/v1/endpoints/${id}`, { key: two, body: { name: 'Mine' } })
  assert.deepEqual((await ask(200, 'GET', '/v1/endpoints', { key: two })).data, [])
  assert.equal((await ask(200, 'GET', '/v1/endpoints', { key: one })).data.length, 1)
  assert.equal((await ask(200, 'GET', '/v1/endpoints?limit=1')).data[0].id, id)
  await ask(200, 'GET', `/v1/deliveries/${test.id}`, { key: one })
  await ask(200, 'POST', `/v1/endpoints/${id}`, { body: { name: 'Seen by all' } })
  const reader = await keyOf('tasks:read')
  await ask(403, 'POST', '/v1/endpoints', { key: reader, body: { url } })
})

test('a key has at most twenty endpoints, however many are asked for at once', async () => {
  const key = await keyOf('tasks:read', 'tasks:write')
  const answers = await Promise.all(
    Array.from({ length: 25 }, () =>
      server.send('POST', '/v1/endpoints', {
        body: { url },
        headers: { authorization: `Bearer ${key}` },
      }),
    ),
  )
  const codes = answers.map(({ status }) => status).sort()
  assert.deepEqual(codes, [...Array(20).fill(201), ...Array(5).fill(409)])
  const first = await ask(200, 'GET', '/v1/endpoints?limit=15', { key })
  const rest = await ask(200, 'GET', `/v1/endpoints?page=${first.next_page}`, { key })
  const ids = [...first.data, ...rest.data].map(({ id }: { id: string }) => id)
  assert.deepEqual([ids.length, new Set(ids).size, rest.next_page], [20, 20, null])
  assert.deepEqual(ids, ids.toSorted().reverse())
})

test('a task has at most five endpoints, which count for no key, and only its own key makes them', async () => {
  const { id } = await server.order()
  const of = (count: number) => Array.from({ length: count }, () => make({ task_id: id }))
  const key = await keyOf('tasks:read', 'tasks:write')
  await Promise.all(of(5))
  const refused = await ask(409, 'POST', '/v1/endpoints', { body: { url, task_id: id } })
  assert.match(refused.error.message, /^This task has 5 endpoints/)
  await expectHidden(key, id)
  const { data } = await ask(200, 'GET', `/v1/endpoints?task_id=${id}`)
  for (const each of data) await ask(200, 'DELETE', `/v1/endpoints/${each.id}`)
  assert.equal(data.length, 5)
})

test('an endpoint that is asked for twice with one Idempotency-Key is made once', async () => {
  const send = () =>
    server.send('POST', '/v1/endpoints', { body: { url }, headers: { 'idempotency-key': 'one' } })
  const [first, second] = [await send(), await send()]
  assert.equal(second.headers.get('idempotency-replayed'), 'true')
  assert.equal(await second.text(), await first.text())
})

const publicOnly = 'expected an https URL with a public address'
const badFields: readonly (readonly [field: string, value: unknown, ...says: string[]])[] = [
  ['url', 7, 'url: expected a string, got 7'],
  ['url', 'hooks.example', 'url: expected an https URL without credentials'],
  ['url', 'https://a:b@hooks.example/', 'url: expected an https URL without credentials'],
  ['url', 'http://hooks.example/', publicOnly],
  ['url', 'https://10.0.0.7/', publicOnly],
  ['url', 'https://[::1]/', publicOnly],
  ['url', 'https://2130706433/', publicOnly],
  ['url', 'https://169.254.169.254/latest', publicOnly],
  ['url', 'https://localhost/', 'expected an https URL whose name leads to public addresses only'],
  ['url', 'https://inside.example/', 'whose name leads to public addresses only'],
  ['url', `https://hooks.example/${'x'.repeat(2048)}`, 'url: expected at most 2048 characters'],
  ['events', [], 'events: expected at least 1 entry'],
  ['events', ['task.done'], 'events.0: expected one of task.started', 'got "task.done"'],
  ['events', ['task.failed', 'task.failed'], 'events: expected each event once'],
  ['payload', 'slim', 'payload: expected one of full, thin, got "slim"'],
  ['name', 'x'.repeat(101), 'name: expected at most 100 characters'],
  ['name', 'a\0', 'name: expected text without NUL'],
  ['secret', 'whsec_x', 'secret: unknown field'],
]
test('a bad field is refused when an endpoint is made and when it is changed', async (t) => {
  const { id } = await make()
  for (const [field, value, ...says] of badFields)
    for (const [path, body] of [
      ['/v1/endpoints', { url, [field]: value }],
      [`/v1/endpoints/${id}`, { [field]: value }],
    ] as const)
      await t.test(`POST ${path.slice(0, 20)} ${field}: ${short(value)}`, () =>
        expectRefusal(server, { send: ['POST', path, { body }], status: 400, says }),
      )
  const disabled = { url, disabled: true }
  await expectRefusal(server, {
    ...{ send: ['POST', '/v1/endpoints', { body: disabled }], status: 400 },
    says: ['disabled: unknown field'],
  })
  assert.equal((await ask(200, 'GET', `/v1/endpoints/${id}`)).url, url)
})

test('a receiver that the operator lists may be private and speak plain http; a name that leads nowhere now is taken', async () => {
  assert.equal(
    (await make({ url: 'http://127.0.0.1:8080/hook' })).url,
    'http://127.0.0.1:8080/hook',
  )
  await make({ url: 'https://nowhere.example/' })
})

test('what there is not is answered 404, and what is no id 400', async () => {
  for (const [method, path] of [
    ['GET', ''],
    ['POST', '/rotate'],
    ['POST', '/test'],
    ['GET', '/deliveries'],
    ['DELETE', ''],
  ] as const)
    await expectRefusal(server, {
      ...{ send: [method, `/v1/endpoints/${unknown}${path}`], status: 404 },
      says: [`There is no endpoint ${unknown}.`],
    })
  const delivery = `dlv_${'0'.repeat(26)}`
  await expectRefusal(server, {
    ...{ send: ['POST', `/v1/deliveries/${delivery}/redeliver`], status: 404 },
    says: [`There is no delivery ${delivery}.`],
  })
  for (const [path, says] of [
    ['/v1/endpoints/x', 'id: expected endp_ and 26 letters or digits'],
    ['/v1/deliveries/x', 'id: expected dlv_ and 26 letters or digits'],
    ['/v1/endpoints?limit=0', 'limit: expected a whole number from 1 to 100'],
    [`/v1/endpoints/${unknown}/deliveries?status=lost`, 'status: expected one of pending'],
    [`/v1/endpoints/${unknown}/deliveries?page=x`, 'page: expected a whole number'],
  ] as const)
    await expectRefusal(server, { send: ['GET', path], status: 400, says: [says] })
})
