import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import { systemClock } from '../../src/clock.ts'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { RemoteRefused } from '../../src/gateway/git-host.ts'
import { flushPacket, pktLine } from '../../src/gateway/pkt-lines.ts'
import { remoteTip } from '../../src/gateway/remote-tip.ts'
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

const pushRefs = ['refs/heads/agent/x']

function look(
  o: {
    origin?: string
    path?: string
    credential?: string
    pushRefs?: string[]
    ref?: string
    allowed?: boolean
    signal?: AbortSignal
  } = {},
): Promise<string | null> {
  const { origin = github.url, path = '/acme/app', allowed = true, pushRefs: refs = pushRefs } = o
  const credential = fixedCredential(o.credential ?? github.token)
  const port = Number(new URL(origin).port)
  return remoteTip({
    policy: {
      git: { credential, pushRefs: refs, origin, path },
      allowPrivate: allowed ? [{ host: '127.0.0.1', port }] : [],
    },
    ref: o.ref ?? 'refs/heads/main',
    clock: systemClock,
    signal: o.signal ?? AbortSignal.timeout(30_000),
  })
}

test('the tip of a branch is what the remote has, asked with the credential', async () => {
  const [tip] = await app.commits('main')
  assert.equal(await look(), tip?.sha)
  assert.equal(await look({ path: '/acme/app.git' }), tip?.sha)
  assert.match(github.requests.at(-1)?.authorization ?? '', /^Basic /)
})

test('a ref that the remote has not is null, and so is a part of a name', async () => {
  for (const ref of ['refs/heads/agent/x', 'refs/heads/mai', 'refs/heads/main2', 'heads/main'])
    assert.equal(await look({ ref }), null)
})

test('whoever may not be asked is a refusal with a sentence', async () => {
  const cases: [Parameters<typeof look>[0], RegExp][] = [
    [{ credential: 'wrong' }, /answered 401/],
    [{ path: '/acme/none' }, /answered 404/],
    [{ pushRefs: [] }, /not push/],
    [{ path: '/acme/../app' }, /Only fetch and push/],
    [{ allowed: false }, /GATEWAY_ALLOW_PRIVATE/],
  ]
  for (const [o, words] of cases)
    await assert.rejects(look(o), (error: Error) => {
      assert.ok(error instanceof RemoteRefused)
      assert.match(error.message, words)
      return true
    })
})

const id = 'a'.repeat(40)
const line = (text: string): string => pktLine(Buffer.from(text)).toString()
const head = `${line('# service=git-receive-pack\n')}${flushPacket}`

async function lookAt(status: number, body: string, ref = 'refs/heads/agent/x') {
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(status, { location: 'http://169.254.169.254/' }).end(body)
  })
  return await look({ origin: upstream.url.origin, ref })
}

test('a list of refs is read to its end, and an empty repository has none', async () => {
  const none = `${line(`${'0'.repeat(40)} capabilities^{}\0report-status\n`)}${flushPacket}`
  assert.equal(await lookAt(200, head + none), null)
  const two = line(`${'b'.repeat(40)} refs/heads/main\0report-status\n`)
  assert.equal(await lookAt(200, head + two + line(`${id} refs/heads/agent/x\n`) + flushPacket), id)
})

test('an answer that is not whole, or not git, proves nothing: it may be mended later', async () => {
  const answers: [number, string, RegExp][] = [
    [200, head, /ended too early/],
    [200, head + line(`${id} refs/heads/main\0\n`), /ended too early/],
    [200, '<html>', /not in the form git sends/],
    [503, '', /answered 503/],
    [429, '', /answered 429/],
  ]
  for (const [status, body, words] of answers)
    await assert.rejects(lookAt(status, body), (error: Error) => {
      assert.ok(!(error instanceof RemoteRefused))
      assert.match(error.message, words)
      return true
    })
  await assert.rejects(lookAt(302, ''), /answered 302/)
})

test('a look that is stopped rejects with the reason', async () => {
  const asked = Promise.withResolvers<void>()
  await using upstream = await startUpstream(() => asked.resolve())
  const stop = new AbortController()
  const looking = look({ origin: upstream.url.origin, signal: stop.signal })
  await asked.promise
  stop.abort(new Error('enough'))
  await assert.rejects(looking, /enough/)
})
