/** API keys over the API: made, shown once, listed, bounded and revoked, and never widened. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ApiKey } from '@longhaul/client/contract'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

const unknownId = 'key_00000000000000000000000000'

async function json<T>(answer: Response, status: number): Promise<T> {
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return JSON.parse(text) as T
}

async function make(body: object, headers: Record<string, string> = {}) {
  const answer = await server.send('POST', '/v1/keys', { body, headers })
  return json<ApiKey & { key: string }>(answer, 201)
}

async function refusal(path: string, body: unknown, headers: Record<string, string> = {}) {
  const answer = await server.send('POST', path, { body, headers })
  return { status: answer.status, said: await answer.text() }
}

test('a key is shown once, opens the door, and stands in the list without itself', async () => {
  const made = await make({ name: 'a bot', scopes: ['tasks:read'], day_budget_usd: 12.5 })
  assert.match(made.key, /^lh_/)
  assert.equal(made.day_budget_usd, 12.5)
  assert.equal(made.spent_today_usd, 0)
  const headers = { authorization: `Bearer ${made.key}` }
  assert.equal((await server.send('GET', '/v1/tasks', { headers })).status, 200)
  const got = await json<ApiKey>(await server.send('GET', `/v1/keys/${made.id}`), 200)
  assert.notEqual(got.last_used_at, null)
  const { key, ...rest } = made
  assert.deepEqual(got, { ...rest, last_used_at: got.last_used_at })
  const list = await server.send('GET', '/v1/keys?limit=1')
  const text = await list.text()
  assert.equal(JSON.parse(text).data[0].id, made.id)
  assert.ok(!text.includes(key))
  const { next_page: page } = JSON.parse(text)
  const rest2 = await json<{ data: ApiKey[] }>(
    await server.send('GET', `/v1/keys?page=${page}`),
    200,
  )
  assert.ok(rest2.data.length > 0 && rest2.data.every(({ id }) => id !== made.id))
})

test('a key is renamed, its budget changed and cleared, and what is not said stays', async () => {
  const { id } = await make({ name: 'changing', scopes: ['tasks:write'], day_budget_usd: 5 })
  const change = async (body: object) =>
    json<ApiKey>(await server.send('POST', `/v1/keys/${id}`, { body }), 200)
  assert.equal((await change({ name: 'changed' })).day_budget_usd, 5)
  assert.equal((await change({ day_budget_usd: 7 })).name, 'changed')
  assert.equal((await change({ day_budget_usd: null })).day_budget_usd, null)
  assert.equal((await change({ concurrency: 3 })).concurrency, 3)
  assert.equal((await change({ day_budget_usd: 7 })).concurrency, 3)
  assert.equal((await change({ concurrency: null })).concurrency, null)
})

test('a revoked key opens nothing, and is still listed with when it was revoked', async () => {
  const made = await make({ name: 'leaver', scopes: ['tasks:read'] })
  const revoke = async () =>
    json<ApiKey>(await server.send('POST', `/v1/keys/${made.id}/revoke`), 200)
  const first = await revoke()
  assert.notEqual(first.revoked_at, null)
  assert.equal((await revoke()).revoked_at, first.revoked_at)
  const headers = { authorization: `Bearer ${made.key}` }
  assert.equal((await server.send('GET', '/v1/tasks', { headers })).status, 401)
})

test('a key makes no key that may more than itself, and without the scope none at all', async () => {
  const maker = await make({ name: 'maker', scopes: ['keys:write', 'tasks:read'] })
  const headers = { authorization: `Bearer ${maker.key}` }
  const child = await make({ name: 'child', scopes: ['tasks:read'] }, headers)
  assert.equal(child.created_by, maker.id)
  for (const scope of ['tasks:write', '*']) {
    const { status, said } = await refusal('/v1/keys', { name: 'x', scopes: [scope] }, headers)
    assert.equal(status, 403)
    assert.match(said, /it needs the scope/)
  }
  const reader = { authorization: `Bearer ${child.key}` }
  assert.equal((await server.send('GET', '/v1/keys', { headers: reader })).status, 403)
  assert.equal(
    (await refusal('/v1/keys', { name: 'x', scopes: ['tasks:read'] }, reader)).status,
    403,
  )
})

const bad: readonly (readonly [
  what: string,
  path: string,
  body: object,
  status: number,
  RegExp,
])[] = [
  ['no name', '/v1/keys', { scopes: ['*'] }, 400, /name/],
  ['a name of two lines', '/v1/keys', { name: 'a\nb', scopes: ['*'] }, 400, /letters, digits/],
  ['no scopes', '/v1/keys', { name: 'a', scopes: [] }, 400, /scopes/],
  ['an unknown scope', '/v1/keys', { name: 'a', scopes: ['all'] }, 400, /scopes/],
  ['no money', '/v1/keys', { name: 'a', scopes: ['*'], day_budget_usd: 0 }, 400, /day_budget_usd/],
  ['another field', '/v1/keys', { name: 'a', scopes: ['*'], admin: true }, 400, /admin/],
  ['a change of scopes', `/v1/keys/${unknownId}`, { scopes: ['*'] }, 400, /scopes/],
  ['an unknown key', `/v1/keys/${unknownId}`, { name: 'a' }, 404, /key_0/],
  ['the end of an unknown key', `/v1/keys/${unknownId}/revoke`, {}, 404, /key_0/],
]
for (const [what, path, body, status, says] of bad)
  test(`${what} is refused with a sentence`, async () => {
    const answer = await refusal(path, body)
    assert.equal(answer.status, status)
    assert.match(answer.said, says)
  })
