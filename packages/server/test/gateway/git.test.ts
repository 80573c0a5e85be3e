import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import { fixedCredential } from '../../src/gateway/credential.ts'
import type { GatewayPolicy } from '../../src/gateway/policy.ts'
import { startBridge, startGateway, startUpstream, type TestGateway, until } from './harness.ts'

let github: FakeGitHub
let app: FakeRepository
let directory = ''
before(async () => {
  github = await startFakeGitHub({ token: 'real-token-canary' })
  app = await github.createRepository({
    owner: 'acme',
    name: 'app',
    files: { 'a.txt': 'one\n' },
    private: true,
  })
  await github.createRepository({ owner: 'acme', name: 'other', files: { 'b.txt': 'two\n' } })
  directory = await mkdtemp(join(tmpdir(), 'longhaul-git-'))
})
after(async () => {
  await github.close()
  await rm(directory, { recursive: true, force: true })
})

const pushRefs = ['refs/heads/agent/x', 'refs/heads/agent/x-wip']

type GitOptions = { push: boolean; pushBytesMax?: number; fetchBytesMax?: number }

function gitPolicy({ push, ...bounds }: GitOptions): Partial<GatewayPolicy> {
  return {
    git: {
      ...bounds,
      origin: github.url,
      path: '/acme/app',
      credential: fixedCredential(github.token),
      pushRefs: push ? pushRefs : [],
    },
    allowPrivate: [{ host: '127.0.0.1', port: Number(new URL(github.url).port) }],
  }
}

/** git as it runs inside: the origin is rewritten to the gateway; no configuration of the host. */
async function startGit(gateway: TestGateway) {
  const bridge = await startBridge(gateway.socketPath)
  const git = (cwd: string, ...args: string[]): Promise<{ code: number; output: string }> =>
    new Promise((resolve) => {
      const config = ['-c', `url.${bridge.url}/git/.insteadOf=${github.url}/`]
      const identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.org']
      const env = {
        PATH: process.env['PATH'],
        HOME: directory,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_TERMINAL_PROMPT: '0',
      }
      execFile('git', [...config, ...identity, ...args], { cwd, env }, (error, out, err) =>
        resolve({ code: error === null ? 0 : 1, output: `${out}${err}` }),
      )
    })
  return { git, [Symbol.asyncDispose]: () => bridge[Symbol.asyncDispose]() }
}

test('a clone and a push to the branch of the task work without a credential inside', async () => {
  await using gateway = await startGateway({ policy: gitPolicy({ push: true }) })
  await using inside = await startGit(gateway)
  const clone = join(directory, 'clone')
  const cloned = await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)
  assert.equal(cloned.code, 0, cloned.output)
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'mend')
  const pushed = await inside.git(clone, 'push', 'origin', 'HEAD:refs/heads/agent/x')
  assert.equal(pushed.code, 0, pushed.output)
  assert.ok((await app.branches()).includes('agent/x'))
  assert.ok(github.requests.every((request) => request.authorization?.startsWith('Basic ')))
  assert.deepEqual(gateway.denials, [])
})

test('a large push is streamed whole', async () => {
  await using gateway = await startGateway({ policy: gitPolicy({ push: true }) })
  await using inside = await startGit(gateway)
  const clone = join(directory, 'large')
  await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)
  await writeFile(join(clone, 'big'), randomBytes(3 * 1024 * 1024))
  await inside.git(clone, 'add', 'big')
  await inside.git(clone, 'commit', '-m', 'big')
  const pushed = await inside.git(clone, 'push', 'origin', 'HEAD:refs/heads/agent/x-wip')
  assert.equal(pushed.code, 0, pushed.output)
  assert.ok((await app.branches()).includes('agent/x-wip'))
})

test('a push and a fetch beyond their bounds end there, and are told', async () => {
  const mebibyte = 1024 * 1024
  const clone = join(directory, 'bounded')
  {
    const policy = gitPolicy({ push: true, pushBytesMax: mebibyte })
    await using gateway = await startGateway({ policy })
    await using inside = await startGit(gateway)
    await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)
    await writeFile(join(clone, 'big'), randomBytes(2 * mebibyte))
    await inside.git(clone, 'add', 'big')
    await inside.git(clone, 'commit', '-m', 'big')
    const seen = github.pushes.length
    const pushed = await inside.git(clone, 'push', 'origin', '+HEAD:refs/heads/agent/x-wip')
    assert.equal(pushed.code, 1)
    assert.equal(github.pushes.length, seen)
    assert.match(gateway.denials.at(-1)?.why ?? '', /larger than 1 MiB/)
  }
  const policy = gitPolicy({ push: false, fetchBytesMax: 64 })
  await using gateway = await startGateway({ policy })
  await using inside = await startGit(gateway)
  const cloned = await inside.git(directory, 'clone', `${github.url}/acme/app`, `${clone}-again`)
  assert.notEqual(cloned.code, 0)
  await until(() => gateway.denials.length > 0)
  assert.match(gateway.denials.at(-1)?.why ?? '', /larger than/)
})

const pushes: Record<string, string[]> = {
  'to main': ['HEAD:refs/heads/main'],
  'that deletes main': [':refs/heads/main'],
  "that deletes the task's branch": [':refs/heads/agent/x'],
  "to main and the task's branch together": ['+HEAD:refs/heads/agent/x', 'HEAD:refs/heads/main'],
  "to another task's branch": ['HEAD:refs/heads/agent/y'],
  "that overwrites another task's branch": ['+HEAD:refs/heads/agent/other'],
  'of a tag': ['HEAD:refs/tags/v1'],
}
test('a push of a commit that may not leave changes nothing, and git prints why', async () => {
  const asked: { ref: string; commit: string }[] = []
  await using gateway = await startGateway({
    policy: gitPolicy({ push: true }),
    mayPush: async (update) => {
      asked.push(update)
      return update.ref.endsWith('-wip') ? 'That commit stays here.' : null
    },
  })
  await using inside = await startGit(gateway)
  const clone = join(directory, 'judged')
  await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'judged')
  const tip = (await inside.git(clone, 'rev-parse', 'HEAD')).output.trim()
  const seen = github.pushes.length
  const refs = ['+HEAD:refs/heads/agent/x', '+HEAD:refs/heads/agent/x-wip']
  const refused = await inside.git(clone, 'push', 'origin', ...refs)
  assert.equal(refused.code, 1)
  assert.match(refused.output, /agent\/x-wip \(That commit stays here\.\)/)
  assert.equal(github.pushes.length, seen)
  assert.deepEqual(
    asked.map(({ commit }) => commit),
    [tip, tip],
  )
  assert.equal(gateway.denials.at(-1)?.why, 'That commit stays here.')
  const named = ['refs/heads/agent/x', 'refs/heads/agent/x-wip'].map((ref) => `${ref} ${tip}`)
  assert.deepEqual(gateway.decisions.at(-1)?.details['refs'], named)
  const allowed = await inside.git(clone, 'push', 'origin', '+HEAD:refs/heads/agent/x')
  assert.equal(allowed.code, 0, allowed.output)
})

test('a push is not forwarded when it cannot be told whether it may be', async () => {
  const mayPush = () => Promise.reject(new Error('the sandbox is gone'))
  await using gateway = await startGateway({ policy: gitPolicy({ push: true }), mayPush })
  await using inside = await startGit(gateway)
  const clone = join(directory, 'undecided')
  await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'undecided')
  const seen = github.pushes.length
  const pushed = await inside.git(clone, 'push', 'origin', '+HEAD:refs/heads/agent/x')
  assert.equal(pushed.code, 1)
  assert.match(pushed.output, /error: 503/)
  assert.equal(github.pushes.length, seen)
})

test('a push whose client went away is no longer judged', async () => {
  const asked = Promise.withResolvers<AbortSignal>()
  await using gateway = await startGateway({
    policy: gitPolicy({ push: true }),
    mayPush: (_update, signal) => {
      asked.resolve(signal)
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    },
  })
  const command = `${'0'.repeat(40)} ${'1'.repeat(40)} refs/heads/agent/x\0report-status`
  const controller = new AbortController()
  const pending = gateway.ask({
    path: '/git/acme/app/git-receive-pack',
    body: `${(command.length + 4).toString(16).padStart(4, '0')}${command}0000PACK`,
    signal: controller.signal,
  })
  const signal = await asked.promise
  controller.abort()
  await assert.rejects(pending)
  await until(() => signal.aborted)
})

test('pushes beyond the branches of the task change nothing, and git prints why', async (t) => {
  await writeFile(join(app.directory, 'refs/heads/agent/other'), await tipOf('main'))
  await using gateway = await startGateway({ policy: gitPolicy({ push: true }) })
  await using inside = await startGit(gateway)
  const clone = join(directory, 'refused')
  await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'sly')
  for (const [name, specs] of Object.entries(pushes))
    await t.test(`a push ${name} is refused`, async () => {
      const seen = github.pushes.length
      const pushed = await inside.git(clone, 'push', 'origin', ...specs)
      assert.equal(pushed.code, 1)
      assert.match(pushed.output, /remote rejected.*(from a sandbox)/)
      assert.equal(github.pushes.length, seen)
      assert.match(gateway.denials.at(-1)?.why ?? '', /from a sandbox/)
    })
})

async function tipOf(branch: string): Promise<string> {
  return (await app.commits(branch))[0]?.sha ?? ''
}

test('a session without the right to push may still fetch', async () => {
  await using gateway = await startGateway({ policy: gitPolicy({ push: false }) })
  await using inside = await startGit(gateway)
  const clone = join(directory, 'read-only')
  assert.equal((await inside.git(directory, 'clone', `${github.url}/acme/app`, clone)).code, 0)
  const pushed = await inside.git(clone, 'push', 'origin', 'HEAD:refs/heads/agent/no')
  assert.equal(pushed.code, 1)
  assert.match(pushed.output, /may read its repository, but not push/)
})

test('another repository is refused, and git prints why', async () => {
  await using gateway = await startGateway({ policy: gitPolicy({ push: true }) })
  await using inside = await startGit(gateway)
  const cloned = await inside.git(directory, 'clone', `${github.url}/acme/other`, 'other')
  assert.equal(cloned.code, 1)
  assert.match(cloned.output, /may be reached from this session/)
})

const query = '?service=git-upload-pack'
const paths = [
  `/git/acme/other/info/refs${query}`,
  `/git/acme/app/../other/info/refs${query}`,
  `/git/acme/app%2f..%2fother/info/refs${query}`,
  `/git/acme/other%2f..%2fapp/info/refs${query}`,
  `/git/acme//app/info/refs${query}`,
  `/git/acme/app.git.git/info/refs${query}`,
  `/git/acme/app\\..\\other/info/refs${query}`,
  `/git/acme/app/./info/refs${query}`,
  `/git/acme/app/info/refs${query}&service=git-receive-pack`,
  '/git/acme/app/info/refs',
  '/git/acme/app/info/refs?service=git-upload-archive',
  '/git/acme/app/HEAD',
  '/git/acme/app/git-upload-pack',
  `/git/acme/app/settings/info/refs${query}`,
  '/git/',
]
test('paths beside the one repository are refused', async (t) => {
  await using gateway = await startGateway({ policy: gitPolicy({ push: true }) })
  for (const path of paths)
    await t.test(path, async () => {
      const seen = github.requests.length
      assert.equal((await gateway.ask({ path })).status, 403)
      assert.equal(github.requests.length, seen)
    })
})

const readable: readonly (readonly [path: string, status: number])[] = [
  [`/git/acme/other/info/refs${query}`, 200],
  [`/git/acme/other.git/info/refs${query}`, 200],
  ['/git/acme/other/info/refs?service=git-receive-pack', 403],
  [`/git/acme/third/info/refs${query}`, 403],
  [`/git/docs/info/refs${query}`, 403],
  // Allowed, and not there.
  [`/git/docs/any/info/refs${query}`, 404],
  [`/git/docs/deep/er/info/refs${query}`, 403],
  [`/git/docs/../acme/third/info/refs${query}`, 403],
]
test('repositories that may be read as well are fetched, and no others, and none is pushed to', async () => {
  const { git, ...policy } = gitPolicy({ push: true })
  assert.ok(git)
  const readAlso = ['/acme/other', '/docs/*']
  const credentialAlso = () => fixedCredential(github.token)
  await using gateway = await startGateway({
    policy: { ...policy, git: { ...git, readAlso, credentialAlso } },
  })
  for (const [path, status] of readable)
    assert.equal((await gateway.ask({ path })).status, status, path)
  const body = pushBody('refs/heads/agent/x')
  const pushed = await gateway.ask({ path: '/git/acme/other/git-receive-pack', body })
  assert.equal(pushed.status, 403)
})

const zero = '0'.repeat(40)
const one = '1'.repeat(40)
function pushBody(ref: string): string {
  const line = `${zero} ${one} ${ref}\0report-status\n`
  return `${(line.length + 4).toString(16).padStart(4, '0')}${line}0000PACK`
}

test('a compressed push is read like any other, and sent on as it was read', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('fine'))
  await using gateway = await startGateway({
    policy: {
      git: {
        origin: upstream.url.origin,
        path: '/a/b',
        credential: fixedCredential(null),
        pushRefs,
      },
      allowPrivate: [{ host: '127.0.0.1', port: upstream.port }],
    },
  })
  const send = (ref: string) =>
    gateway.ask({
      path: '/git/a/b.git/git-receive-pack',
      headers: { 'content-encoding': 'gzip', authorization: 'Basic c2x5', cookie: 'sly=1' },
      body: gzipSync(pushBody(ref)),
    })
  assert.match(
    (await send('refs/heads/main')).text,
    /ng refs\/heads\/main Only refs\/heads\/agent\/x and/,
  )
  assert.equal(upstream.requests.length, 0)
  assert.equal((await send('refs/heads/agent/x')).text, 'fine')
  assert.equal(upstream.requests[0]?.body, pushBody('refs/heads/agent/x'))
  const { headers } = upstream.requests[0] ?? { headers: {} }
  assert.deepEqual([headers.authorization, headers.cookie], [undefined, undefined])
  assert.equal(headers['content-encoding'], undefined)
})

const broken: [name: string, encoding: string, body: string | Buffer, status: number][] = [
  ['another compression', 'br', 'x', 415],
  ['a broken compression', 'gzip', 'not gzip', 400],
  ['an end before the commands are complete', 'identity', '00a0', 400],
  ['what is not the protocol', 'identity', 'hello', 403],
]
for (const [name, encoding, body, status] of broken)
  test(`a push is refused for ${name}`, async () => {
    await using gateway = await startGateway({ policy: gitPolicy({ push: true }) })
    const answer = await gateway.ask({
      path: '/git/acme/app/git-receive-pack',
      headers: { 'content-encoding': encoding },
      body,
    })
    assert.equal(answer.status, status)
  })

test("the host's refusal of the credential and its redirects end at the gateway", async () => {
  let status = 401
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(status, { location: 'http://169.254.169.254/', 'www-authenticate': 'Basic' })
    response.end()
  })
  await using gateway = await startGateway({
    policy: {
      git: {
        origin: upstream.url.origin,
        path: '/a/b',
        credential: fixedCredential('token'),
        pushRefs: [],
      },
      allowPrivate: [{ host: '127.0.0.1', port: upstream.port }],
    },
  })
  const path = `/git/a/b/info/refs${query}`
  const unauthorized = await gateway.ask({ path })
  assert.deepEqual(
    [unauthorized.status, unauthorized.headers['www-authenticate']],
    [403, undefined],
  )
  status = 302
  const moved = await gateway.ask({ path })
  assert.deepEqual([moved.status, moved.headers.location], [502, undefined])
  assert.equal(upstream.requests.length, 2)
})

test('a git host that goes away in the middle of a push is 502', async () => {
  const gone = createServer((request) => request.once('data', () => request.destroy()))
  gone.listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port } = gone.address() as AddressInfo
  await using gateway = await startGateway({
    policy: {
      git: {
        origin: `http://127.0.0.1:${port}`,
        path: '/a/b',
        credential: fixedCredential(null),
        pushRefs,
      },
      allowPrivate: [{ host: '127.0.0.1', port }],
    },
  })
  const body = Buffer.concat([Buffer.from(pushBody('refs/heads/agent/x')), Buffer.alloc(9e6)])
  const answer = await gateway.ask({ path: '/git/a/b/git-receive-pack', body })
  assert.equal(answer.status, 502)
  await new Promise((resolve) => gone.close(resolve))
})

test('a git host that resolves to a private address is refused unless listed', async () => {
  const git = {
    origin: 'http://git.example:8080',
    path: '/a/b',
    credential: fixedCredential('t'),
    pushRefs: [],
  }
  await using gateway = await startGateway({
    policy: { git },
    lookup: async () => [{ address: '169.254.169.254', family: 4 }],
  })
  const answer = await gateway.ask({ path: `/git/a/b/info/refs${query}` })
  assert.equal(answer.status, 403)
  assert.match(answer.text, /GATEWAY_ALLOW_PRIVATE may list git.example:8080/)
})
