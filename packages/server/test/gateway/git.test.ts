/** What of a git host a session reaches through its gateway: its repository, and what it may read. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { fetchQuery, type GitStage, openGitStage, pushBody } from './git-stage.ts'
import { startGateway, startUpstream, until } from './harness.ts'

let stage: GitStage
before(async () => {
  stage = await openGitStage()
})
after(() => stage[Symbol.asyncDispose]())

test('a clone and a push to the branch of the task work without a credential inside', async () => {
  await using gateway = await startGateway({ policy: stage.policy({ push: true }) })
  await using inside = await stage.git(gateway)
  const clone = await inside.clone('clone')
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'mend')
  const pushed = await inside.git(clone, 'push', 'origin', 'HEAD:refs/heads/agent/x')
  assert.equal(pushed.code, 0, pushed.output)
  assert.ok((await stage.app.branches()).includes('agent/x'))
  assert.ok(stage.github.requests.every((request) => request.authorization?.startsWith('Basic ')))
  assert.deepEqual(gateway.denials, [])
})

test('a push and a fetch beyond their bounds end there, and are told', async () => {
  const mebibyte = 1024 * 1024
  {
    const policy = stage.policy({ push: true, pushBytesMax: mebibyte })
    await using gateway = await startGateway({ policy })
    await using inside = await stage.git(gateway)
    const clone = await inside.clone('bounded')
    await writeFile(join(clone, 'big'), randomBytes(2 * mebibyte))
    await inside.git(clone, 'add', 'big')
    await inside.git(clone, 'commit', '-m', 'big')
    const seen = stage.github.pushes.length
    const pushed = await inside.git(clone, 'push', 'origin', '+HEAD:refs/heads/agent/x-wip')
    assert.equal(pushed.code, 1)
    assert.equal(stage.github.pushes.length, seen)
    assert.match(gateway.denials.at(-1)?.why ?? '', /larger than 1 MiB/)
  }
  const { directory, github } = stage
  const policy = stage.policy({ push: false, fetchBytesMax: 64 })
  await using gateway = await startGateway({ policy })
  await using inside = await stage.git(gateway)
  const cloned = await inside.git(directory, 'clone', `${github.url}/acme/app`, 'again')
  assert.notEqual(cloned.code, 0)
  await until(() => gateway.denials.length > 0)
  assert.match(gateway.denials.at(-1)?.why ?? '', /larger than/)
})

test('a session without the right to push may still fetch', async () => {
  await using gateway = await startGateway({ policy: stage.policy({ push: false }) })
  await using inside = await stage.git(gateway)
  const clone = await inside.clone('read-only')
  const pushed = await inside.git(clone, 'push', 'origin', 'HEAD:refs/heads/agent/no')
  assert.equal(pushed.code, 1)
  assert.match(pushed.output, /may read its repository, but not push/)
})

test('another repository is refused, and git prints why', async () => {
  await using gateway = await startGateway({ policy: stage.policy({ push: true }) })
  await using inside = await stage.git(gateway)
  const { directory, github } = stage
  const cloned = await inside.git(directory, 'clone', `${github.url}/acme/other`, 'other')
  assert.equal(cloned.code, 1)
  assert.match(cloned.output, /may be reached from this session/)
})

const paths = [
  `/git/acme/other/info/refs${fetchQuery}`,
  `/git/acme/app/../other/info/refs${fetchQuery}`,
  `/git/acme/app%2f..%2fother/info/refs${fetchQuery}`,
  `/git/acme/other%2f..%2fapp/info/refs${fetchQuery}`,
  `/git/acme//app/info/refs${fetchQuery}`,
  `/git/acme/app.git.git/info/refs${fetchQuery}`,
  `/git/acme/app\\..\\other/info/refs${fetchQuery}`,
  `/git/acme/app/./info/refs${fetchQuery}`,
  `/git/acme/app/info/refs${fetchQuery}&service=git-receive-pack`,
  '/git/acme/app/info/refs',
  '/git/acme/app/info/refs?service=git-upload-archive',
  '/git/acme/app/HEAD',
  '/git/acme/app/git-upload-pack',
  `/git/acme/app/settings/info/refs${fetchQuery}`,
  '/git/',
]
test('paths beside the one repository are refused', async (t) => {
  await using gateway = await startGateway({ policy: stage.policy({ push: true }) })
  for (const path of paths)
    await t.test(path, async () => {
      const seen = stage.github.requests.length
      assert.equal((await gateway.ask({ path })).status, 403)
      assert.equal(stage.github.requests.length, seen)
    })
})

const readable: readonly (readonly [path: string, status: number])[] = [
  [`/git/acme/other/info/refs${fetchQuery}`, 200],
  [`/git/acme/other.git/info/refs${fetchQuery}`, 200],
  ['/git/acme/other/info/refs?service=git-receive-pack', 403],
  [`/git/acme/third/info/refs${fetchQuery}`, 403],
  [`/git/docs/info/refs${fetchQuery}`, 403],
  // Allowed, and not there.
  [`/git/docs/any/info/refs${fetchQuery}`, 404],
  [`/git/docs/deep/er/info/refs${fetchQuery}`, 403],
  [`/git/docs/../acme/third/info/refs${fetchQuery}`, 403],
]
test('repositories that may be read as well are fetched, and no others, and none is pushed to', async () => {
  const { git, ...policy } = stage.policy({ push: true })
  assert.ok(git)
  const readAlso = ['/acme/other', '/docs/*']
  const credentialAlso = () => fixedCredential(stage.github.token)
  await using gateway = await startGateway({
    policy: { ...policy, git: { ...git, readAlso, credentialAlso } },
  })
  for (const [path, status] of readable)
    assert.equal((await gateway.ask({ path })).status, status, path)
  const body = pushBody('refs/heads/agent/x')
  const pushed = await gateway.ask({ path: '/git/acme/other/git-receive-pack', body })
  assert.equal(pushed.status, 403)
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
  const path = `/git/a/b/info/refs${fetchQuery}`
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
  const answer = await gateway.ask({ path: `/git/a/b/info/refs${fetchQuery}` })
  assert.equal(answer.status, 403)
  assert.match(answer.text, /GATEWAY_ALLOW_PRIVATE may list git.example:8080/)
})
