import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Scope } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'
import { openTestApp, order, type Sent, type TestApp } from './fixture.ts'

let server: TestApp
let id: string
let sessionId: string

before(async () => {
  server = await openTestApp()
  const task = await server.order()
  id = task.id
  sessionId = task.session_id
})
after(() => server[Symbol.asyncDispose]())

test('every route but the three of health needs a key', async (t) => {
  const routes: readonly (readonly [string, string])[] = [
    ['POST', '/api/workflows'],
    ['GET', '/api/workflows'],
    ['GET', `/api/workflows/${id}`],
    ['POST', '/v1/tasks'],
    ['GET', '/v1/tasks'],
    ['GET', `/v1/tasks/${id}`],
    ['POST', `/v1/tasks/${id}/cancel`],
    ['GET', `/v1/tasks/${id}/artifacts/a`],
    ['GET', `/v1/sessions/${sessionId}/events`],
    ['GET', `/v1/sessions/${sessionId}/events/stream`],
    ['GET', '/openapi.json'],
    ['GET', '/unknown'],
  ]
  const keys: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ['no key', { authorization: '' }, /An API key is needed/],
    ['a scheme of its own', { authorization: `Basic ${server.key}` }, /An API key is needed/],
    ['a wrong key', { authorization: `Bearer ${server.key}x` }, /not known or was revoked/],
    ['a wrong x-api-key', { authorization: '', 'x-api-key': 'lh_x' }, /not known or was revoked/],
    ['an endless key', { authorization: `Bearer ${'x'.repeat(600)}` }, /An API key is needed/],
  ]
  for (const [method, path] of routes) {
    for (const [what, headers, says] of keys) {
      await t.test(`${method} ${path} with ${what}`, async () => {
        const answer = await server.send(method, path, { headers })
        const body = JSON.parse(await answer.text())
        assert.equal(answer.status, 401)
        assert.equal(body.error.type, 'authentication_error')
        assert.match(body.error.message, says)
        assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
        assert.ok(!body.error.message.includes(server.key))
      })
    }
  }
})

test('a revoked key is as good as none', async () => {
  const key = await createKey({ store: server.store, clock: systemClock }, { name: 'revoked' })
  const headers = { authorization: '', 'x-api-key': key }
  assert.equal((await server.send('GET', '/v1/tasks', { headers })).status, 200)
  await server.store.db
    .updateTable('keys')
    .set({ revoked_at: new Date() })
    .where('name', '=', 'revoked')
    .execute()
  assert.equal((await server.send('GET', '/v1/tasks', { headers })).status, 401)
})

/** Sends with a key of these scopes. */
async function senderOf(scopes: readonly Scope[]) {
  const key = await createKey(
    { store: server.store, clock: systemClock },
    { name: 'scoped', scopes },
  )
  return (method: string, path: string, sent: Sent = {}) =>
    server.send(method, path, { ...sent, headers: { authorization: `Bearer ${key}` } })
}

const reading = (): readonly (readonly [string, string, Sent?])[] => [
  ['GET', '/api/workflows'],
  ['GET', `/api/workflows/${id}`],
  ['GET', '/v1/tasks'],
  ['HEAD', `/v1/tasks/${id}`],
  ['GET', `/v1/sessions/${sessionId}/events`],
  ['GET', '/openapi.json'],
]
const writing = (): readonly (readonly [string, string, Sent?])[] => [
  ['POST', '/v1/tasks', { body: order }],
  ['POST', `/v1/tasks/${id}/cancel`],
]

test('settings of repositories, and agents, need a scope of their own, which does nothing else', async () => {
  const body = { url: 'https://github.com/acme/scoped' }
  const post = async (scopes: readonly Scope[], path: string, sent: object) =>
    (await (await senderOf(scopes))('POST', path, { body: sent })).status
  assert.equal(await post(['tasks:read', 'tasks:write'], '/v1/repositories', body), 403)
  assert.equal(await post(['repositories:write'], '/v1/tasks', order), 403)
  assert.equal(await post(['repositories:write'], '/v1/repositories', body), 201)
  const agent = { name: 'A' }
  assert.equal(await post(['tasks:write', 'repositories:write'], '/v1/agents', agent), 403)
  assert.equal(await post(['agents:write'], '/v1/agents', agent), 201)
})

for (const [scope, may, mayNot, other] of [
  ['tasks:read', reading, writing, 'tasks:write'],
  ['tasks:write', writing, reading, 'tasks:read'],
] as const) {
  test(`a key with the scope ${scope} may do that, and is told that the rest needs ${other}`, async () => {
    const send = await senderOf([scope])
    for (const [method, path, sent] of may())
      assert.ok((await send(method, path, sent)).ok, `${method} ${path}`)
    for (const [method, path, sent] of mayNot()) {
      const answer = await send(method, path, sent)
      const text = await answer.text()
      assert.equal(answer.status, 403, `${method} ${path}`)
      if (method === 'HEAD') continue
      assert.deepEqual(JSON.parse(text).error, {
        type: 'permission_error',
        message: `The API key may not do that: it needs the scope ${other}, and has ${scope}.`,
        details: { error_code: 'scope_missing' },
      })
    }
  })
}

test('a key with both scopes, or with *, may do everything', async () => {
  for (const scopes of [['tasks:read', 'tasks:write'], ['*']] as const) {
    const send = await senderOf(scopes)
    for (const [method, path, sent] of [...reading(), ...writing()])
      assert.ok((await send(method, path, sent)).ok, `${method} ${path}`)
  }
})
