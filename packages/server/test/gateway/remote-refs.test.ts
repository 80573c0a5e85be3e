/** What a git host says of its refs, asked without git. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import { systemClock } from '../../src/clock.ts'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { flushPacket, pktLine } from '../../src/gateway/pkt-lines.ts'
import { remoteRefs } from '../../src/gateway/remote-refs.ts'
import { startUpstream } from './harness.ts'

let github: FakeGitHub
let app: FakeRepository
before(async () => {
  github = await startFakeGitHub({ token: 'real-token-canary' })
  app = await github.createRepository({ owner: 'acme', name: 'app', private: true })
})
after(async () => {
  await github.close()
})

function ask(o: { origin?: string; credential?: string | null; path?: string; names?: string[] }) {
  const { origin = github.url, credential = github.token, path = '/acme/app' } = o
  const allowPrivate = [{ host: '127.0.0.1', port: Number(new URL(origin).port) }]
  return remoteRefs({
    policy: {
      git: { origin, path, credential: fixedCredential(credential), pushRefs: [] },
      allowPrivate,
    },
    names: o.names ?? ['refs/heads/main', 'refs/heads/none'],
    clock: systemClock,
    signal: AbortSignal.timeout(30_000),
  })
}

test('a host is asked once for HEAD and the refs that are wanted, with the credential', async () => {
  const [tip] = await app.commits('main')
  const before = github.requests.length
  const { tips, head } = await ask({})
  assert.equal(github.requests.length, before + 1)
  assert.equal(head, 'refs/heads/main')
  assert.deepEqual(Object.fromEntries(tips), { HEAD: tip?.sha, 'refs/heads/main': tip?.sha })
})

test('who may not ask, or asks for what is not there, is told no', async () => {
  await assert.rejects(ask({ credential: 'wrong' }), /answered 401/)
  await assert.rejects(ask({ path: '/acme/none' }), /answered 404/)
})

const id = 'a'.repeat(40)
const line = (text: string): string => pktLine(Buffer.from(text)).toString()
const answers: readonly (readonly [what: string, body: string, words: RegExp])[] = [
  ['no git', '<html>', /not in the form git sends/],
  ['version 0', line(`ERR upload-pack: not our ref\n`) + flushPacket, /no line of ls-refs/],
  ['half a list', line(`${id} refs/heads/main\n`), /ended too early/],
]
for (const [what, body, words] of answers) {
  test(`an answer that is ${what} is no answer`, async () => {
    await using upstream = await startUpstream((_request, response) => {
      response.end(body)
    })
    await assert.rejects(ask({ origin: upstream.url.origin }), words)
  })
}

test('a repository without a commit has no head', async () => {
  await using upstream = await startUpstream((_request, response) => {
    response.end(flushPacket)
  })
  const { tips, head } = await ask({ origin: upstream.url.origin })
  assert.deepEqual([...tips], [])
  assert.equal(head, null)
})
