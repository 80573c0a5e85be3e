/** Which pushes pass a gateway, and what git is told of the others. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { type GitStage, openGitStage, pushBody, pushRefs } from './git-stage.ts'
import { startGateway, startUpstream, until } from './harness.ts'

let stage: GitStage
before(async () => {
  stage = await openGitStage()
  // The branches of the task and of another one, as earlier pushes left them.
  const branches = join(stage.app.directory, 'refs/heads/agent')
  await mkdir(branches, { recursive: true })
  for (const name of ['x', 'x-wip', 'other'])
    await writeFile(join(branches, name), await tipOf('main'))
})
after(() => stage[Symbol.asyncDispose]())

async function tipOf(branch: string): Promise<string> {
  return (await stage.app.commits(branch))[0]?.sha ?? ''
}

test('a large push is streamed whole', async () => {
  await using gateway = await startGateway({ policy: stage.policy({ push: true }) })
  await using inside = await stage.git(gateway)
  const clone = await inside.clone('large')
  await writeFile(join(clone, 'big'), randomBytes(3 * 1024 * 1024))
  await inside.git(clone, 'add', 'big')
  await inside.git(clone, 'commit', '-m', 'big')
  const pushed = await inside.git(clone, 'push', 'origin', 'HEAD:refs/heads/agent/x-wip')
  assert.equal(pushed.code, 0, pushed.output)
  const { output } = await inside.git(clone, 'rev-parse', 'HEAD')
  assert.equal(await tipOf('agent/x-wip'), output.trim())
})

test('a push of a commit that may not leave changes nothing, and git prints why', async () => {
  const asked: { ref: string; commit: string }[] = []
  await using gateway = await startGateway({
    policy: stage.policy({ push: true }),
    mayPush: async (update) => {
      asked.push(update)
      return update.ref.endsWith('-wip') ? 'That commit stays here.' : null
    },
  })
  await using inside = await stage.git(gateway)
  const clone = await inside.clone('judged')
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'judged')
  const tip = (await inside.git(clone, 'rev-parse', 'HEAD')).output.trim()
  const seen = stage.github.pushes.length
  const refs = ['+HEAD:refs/heads/agent/x', '+HEAD:refs/heads/agent/x-wip']
  const refused = await inside.git(clone, 'push', 'origin', ...refs)
  assert.equal(refused.code, 1)
  assert.match(refused.output, /agent\/x-wip \(That commit stays here\.\)/)
  assert.equal(stage.github.pushes.length, seen)
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
  await using gateway = await startGateway({ policy: stage.policy({ push: true }), mayPush })
  await using inside = await stage.git(gateway)
  const clone = await inside.clone('undecided')
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'undecided')
  const seen = stage.github.pushes.length
  const pushed = await inside.git(clone, 'push', 'origin', '+HEAD:refs/heads/agent/x')
  assert.equal(pushed.code, 1)
  assert.match(pushed.output, /error: 503/)
  assert.equal(stage.github.pushes.length, seen)
})

test('a push whose client went away is no longer judged', async () => {
  const asked = Promise.withResolvers<AbortSignal>()
  await using gateway = await startGateway({
    policy: stage.policy({ push: true }),
    mayPush: (_update, signal) => {
      asked.resolve(signal)
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    },
  })
  const controller = new AbortController()
  const pending = gateway.ask({
    path: '/git/acme/app/git-receive-pack',
    body: pushBody('refs/heads/agent/x'),
    signal: controller.signal,
  })
  const signal = await asked.promise
  controller.abort()
  await assert.rejects(pending)
  await until(() => signal.aborted)
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
test('pushes beyond the branches of the task change nothing, and git prints why', async (t) => {
  await using gateway = await startGateway({ policy: stage.policy({ push: true }) })
  await using inside = await stage.git(gateway)
  const clone = await inside.clone('refused')
  await inside.git(clone, 'commit', '--allow-empty', '-m', 'sly')
  for (const [name, specs] of Object.entries(pushes))
    await t.test(`a push ${name} is refused`, async () => {
      const seen = stage.github.pushes.length
      const pushed = await inside.git(clone, 'push', 'origin', ...specs)
      assert.equal(pushed.code, 1)
      assert.match(pushed.output, /remote rejected.*(from a sandbox)/)
      assert.equal(stage.github.pushes.length, seen)
      assert.match(gateway.denials.at(-1)?.why ?? '', /from a sandbox/)
    })
})

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
    await using gateway = await startGateway({ policy: stage.policy({ push: true }) })
    const answer = await gateway.ask({
      path: '/git/acme/app/git-receive-pack',
      headers: { 'content-encoding': encoding },
      body,
    })
    assert.equal(answer.status, status)
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
