/** GitHub Apps of the fake GitHub: the rules of JWTs and tokens that GitHub has. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import type { FakeApp, FakeGitHub } from '../src/index.ts'
import { startFakeGitHub } from '../src/index.ts'

const all = { contents: 'write', pull_requests: 'write', issues: 'read' } as const
const strange = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString()

let github: FakeGitHub
let app: FakeApp
before(async () => {
  github = await startFakeGitHub()
  for (const name of ['app', 'other', 'third'])
    await github.createRepository({ owner: 'acme', name, private: true, files: { 'a.txt': 'a\n' } })
  app = github.createApp({ owner: 'acme', repositories: ['app', 'other'], permissions: all })
})
after(() => github.close())

function jwt(o: { iat?: number; exp?: number; iss?: string; key?: string; alg?: string } = {}) {
  const now = Math.floor(Date.now() / 1000)
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iat: now + (o.iat ?? -60), exp: now + (o.exp ?? 300), iss: o.iss ?? app.id }
  const text = `${encode({ alg: o.alg ?? 'RS256', typ: 'JWT' })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(text), o.key ?? app.privateKey)
  return `${text}.${signature.toString('base64url')}`
}

async function call(path: string, o: { token: string; body?: object }) {
  const response = await fetch(`${github.apiUrl}${path}`, {
    method: o.body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${o.token}` },
    ...(o.body !== undefined && { body: JSON.stringify(o.body) }),
  })
  const { status } = response
  return {
    status,
    body: JSON.parse(await response.text()),
    date: response.headers.get('date') ?? '',
  }
}

async function tokenFor(order: object): Promise<string> {
  const path = `/app/installations/${app.installationId}/access_tokens`
  const made = await call(path, { token: jwt(), body: order })
  assert.equal(made.status, 201)
  return made.body.token
}

async function lsRemote(name: string, token: string): Promise<string> {
  const url = `${github.url}/acme/${name}`.replace('//', `//x-access-token:${token}@`)
  const env = { PATH: process.env['PATH'] ?? '', GIT_TERMINAL_PROMPT: '0' }
  const asked = promisify(execFile)('git', ['ls-remote', url, 'HEAD'], { env })
  return asked.then(
    () => 'seen',
    (error: Error) => error.message,
  )
}

test('a JWT must be signed with the app’s key, begin in the past and end within ten minutes', async () => {
  const path = '/repos/acme/app/installation'
  const found = await call(path, { token: jwt() })
  assert.deepEqual([found.status, found.body.id], [200, app.installationId])
  const wrong: [Parameters<typeof jwt>[0], number, RegExp][] = [
    [{ key: strange }, 401, /could not be decoded/],
    [{ alg: 'none' }, 401, /could not be decoded/],
    [{ iat: 30 }, 401, /'iat'/],
    [{ exp: -5 }, 401, /'exp'.*future time/],
    [{ exp: 700 }, 401, /too far/],
    [{ iss: '7' }, 404, /Integration not found/],
  ]
  for (const [o, status, words] of wrong) {
    const answer = await call(path, { token: jwt(o) })
    assert.equal(answer.status, status, JSON.stringify(o))
    assert.match(answer.body.message, words)
  }
  assert.equal((await call('/repos/acme/third/installation', { token: jwt() })).status, 404)
})

test('a token is good for its repositories and permissions alone, and no more of them are given', async () => {
  const token = await tokenFor({ repositories: ['app'], permissions: { contents: 'read' } })
  assert.equal(await lsRemote('app', token), 'seen')
  assert.match(await lsRemote('other', token), /not found/)
  assert.equal((await call('/repos/acme/app', { token })).status, 200)
  assert.equal((await call('/repos/acme/other', { token })).status, 404)
  const pulls = await call('/repos/acme/app/pulls', { token })
  assert.deepEqual(
    [pulls.status, pulls.body.message],
    [403, 'Resource not accessible by integration'],
  )
  const path = `/app/installations/${app.installationId}/access_tokens`
  for (const body of [
    { repositories: ['third'] },
    { repositories: ['app'], permissions: { checks: 'read' } },
    { repositories: ['app'], permissions: { issues: 'write' } },
  ])
    assert.equal((await call(path, { token: jwt(), body })).status, 422, JSON.stringify(body))
})

test('a token ends an hour after it was made, by the clock that the answers have', async () => {
  const token = await tokenFor({ repositories: ['app'] })
  github.advance(59 * 60_000)
  assert.equal((await call('/repos/acme/app', { token })).status, 200)
  github.advance(60_000)
  const ended = await call('/repos/acme/app', { token })
  assert.deepEqual([ended.status, ended.body.message], [401, 'Bad credentials'])
  assert.match(await lsRemote('app', token), /Authentication failed|Invalid username/)
  assert.ok(Date.parse(ended.date) > Date.now() + 55 * 60_000)
})
