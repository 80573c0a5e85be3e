/** Tokens of a GitHub App: made on demand, kept, renewed, and for one repository each. */
import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { after, before, test } from 'node:test'
import { type FakeApp, type FakeGitHub, startFakeGitHub } from '@longhaul/testing'
import type { GitCredential } from '../../src/credentials-file/credentials.ts'
import { GitCredentials } from '../../src/gateway/credentials.ts'
import { GitHubRefused } from '../../src/gateway/github-call.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { log } from './harness.ts'

const minute = 60_000
const { signal } = new AbortController()

let github: FakeGitHub
let app: FakeApp
before(async () => {
  github = await startFakeGitHub()
  for (const name of ['app', 'other', 'outside'])
    await github.createRepository({ owner: 'acme', name, private: true, files: { 'a.txt': 'a\n' } })
  const permissions = { contents: 'write', pull_requests: 'write', deployments: 'write' } as const
  app = github.createApp({ owner: 'acme', repositories: ['app', 'other'], permissions })
})
after(() => github.close())

function credentialsOf(o: { key?: KeyObject; installationId?: number; clock?: JumpClock } = {}) {
  const fallback: GitCredential = {
    kind: 'app',
    id: app.id,
    installationId: o.installationId ?? null,
    privateKey: o.key ?? createPrivateKey(app.privateKey),
  }
  const settings = {
    url: new URL(github.url),
    apiUrl: new URL(github.apiUrl),
    credentials: {
      entries: [
        { match: 'open/*', credential: { kind: 'none' } as const },
        { match: 'open/own', credential: { kind: 'token', token: 'token-of-own' } as const },
      ],
      fallback,
    },
  }
  return new GitCredentials(settings, { clock: o.clock ?? new JumpClock(), log })
}

function of(credentials: GitCredentials, path: string, access: 'read' | 'work' = 'work') {
  const found = credentials.of({ origin: github.url, path, access })
  assert.ok(found)
  return found
}

const made = () => github.installationTokens().length

test('a token is made once for all who ask, for the one repository and what it is for', async () => {
  const credentials = credentialsOf()
  const before = made()
  const work = of(credentials, '/acme/app')
  const tokens = await Promise.all([1, 2, 3].map(() => work.credential(signal)))
  assert.equal(new Set(tokens).size, 1)
  assert.equal(await of(credentials, '/Acme/App.git').credential(signal), tokens[0])
  const reading = await of(credentials, '/acme/app', 'read').credential(signal)
  assert.notEqual(reading, tokens[0])
  assert.equal(made() - before, 2)
  const [first, second] = github.installationTokens().slice(before)
  assert.deepEqual([...(first?.repositories ?? [])], ['acme/app'])
  // What was granted of what a task needs, and nothing that it does not.
  assert.deepEqual(first?.permissions, { contents: 'write', pull_requests: 'write' })
  assert.deepEqual(second?.permissions, { contents: 'read' })
  assert.equal(work.isScoped, true)
})

test('a token is renewed ten minutes before it ends, and no earlier', async () => {
  const clock = new JumpClock()
  const { credential } = of(
    credentialsOf({ clock, installationId: app.installationId }),
    '/acme/app',
  )
  const first = await credential(signal)
  clock.jump(49 * minute)
  github.advance(49 * minute)
  assert.equal(await credential(signal), first)
  clock.jump(minute)
  github.advance(minute)
  assert.notEqual(await credential(signal), first)
})

test('one that was refused is given up, even if it should be good', async () => {
  const { credential } = of(credentialsOf(), '/acme/app')
  const first = await credential(signal)
  assert.ok(first)
  const second = await credential(signal, first)
  assert.notEqual(second, first)
  assert.equal(await credential(signal, first), second)
})

test('a clock that differs from GitHub’s is corrected by the date of its answer', async () => {
  for (const minutes of [-90, 90]) {
    const clock = new JumpClock()
    clock.jump(minutes * minute)
    const { credential } = of(credentialsOf({ clock }), '/acme/app')
    const first = await credential(signal)
    const count = made()
    assert.equal(await credential(signal), first)
    assert.equal(made(), count)
  }
})

test('a repository has its own entry, else that of its owner, else the default; others have none', () => {
  const credentials = credentialsOf()
  const kindOf = (path: string, origin = github.url) =>
    credentials.of({ origin, path, access: 'work' })?.isScoped ?? null
  assert.equal(kindOf('/Open/Own.git'), false)
  assert.equal(kindOf('/open/other'), null)
  assert.equal(kindOf('/acme/app'), true)
  assert.equal(kindOf('/acme/app', 'https://elsewhere.example'), null)
})

test('what GitHub answers is said: a wrong key, a repository without the app', async () => {
  const wrong = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const cases: [Promise<unknown>, number, RegExp][] = [
    [
      of(credentialsOf({ key: wrong }), '/acme/app').credential(signal),
      401,
      /could not be decoded/,
    ],
    [of(credentialsOf(), '/acme/outside').credential(signal), 404, /Not Found.*installed there/],
    [
      of(credentialsOf({ installationId: app.installationId }), '/acme/outside').credential(signal),
      422,
      /not accessible to the parent installation/,
    ],
  ]
  for (const [asked, status, words] of cases)
    await assert.rejects(asked, (error) => {
      assert.ok(error instanceof GitHubRefused)
      assert.equal(error.status, status)
      assert.match(error.message, /^The GitHub App \d+ has no token for acme\/\w+: GitHub answered/)
      assert.match(error.message, words)
      return true
    })
})

test('a server error is tried again, and who goes away does not take the token from the others', async () => {
  const clock = new JumpClock()
  const { credential } = of(credentialsOf({ clock }), '/acme/app')
  const asked = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  let failures = 2
  github.beforeRequest(async ({ path }) => {
    if (!path.endsWith('/access_tokens')) return undefined
    asked.resolve()
    await go.promise
    failures -= 1
    if (failures < 0) return undefined
    setImmediate(() => clock.jump(5 * 1000))
    return { status: 502, message: 'Bad Gateway' }
  })
  const gone = new AbortController()
  const impatient = credential(gone.signal)
  const patient = credential(signal)
  await asked.promise
  gone.abort(new Error('gone'))
  await assert.rejects(impatient, /gone/)
  go.resolve()
  assert.match((await patient) ?? '', /^ghs_/)
  github.beforeRequest(null)
})
