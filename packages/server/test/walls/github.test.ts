/**
 * GitHub's API as a way out, tried from inside a sandbox by the host's own gh and by plain requests:
 * what a token that may do more than the task would give away.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import type { GitHubPolicy } from '../../src/gateway/policy.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { startUpstream } from '../gateway/harness.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { assertUnread, attack, canary } from './attack.ts'
import { asking, openWayOut } from './way-out.ts'

const network = { network: true }
const host = 'api.github.com'
const own = '/repos/acme/app'
let bench: Bench
let github: FakeGitHub
let app: FakeRepository
before(async () => {
  bench = await openBench()
  github = await startFakeGitHub({ token: 'token-of-the-server' })
  app = await github.createRepository({ owner: 'acme', name: 'app', files: { a: 'one\n' } })
  app.talk.open({ title: 'Known', body: '', author: 'ada', labels: [] })
  const other = await github.createRepository({
    ...{ owner: 'acme', name: 'other', files: { a: 'one\n' }, private: true },
  })
  other.talk.open({ title: canary, body: canary, author: 'ada', labels: [] })
})
after(async () => {
  await bench[Symbol.asyncDispose]()
  await github.close()
})

function open(slot: number, o: Partial<GitHubPolicy> = {}) {
  const credential = async () => github.token
  const apiUrl = new URL(github.apiUrl)
  const named = {
    apiUrl,
    owner: 'acme',
    repo: 'app',
    graphql: false,
    credential,
    scrubber: new Scrubber([]),
  }
  return openWayOut(bench, slot, { policy: { github: { ...named, ...o } } })
}

/** An API that answers anything, and with the canary. */
const generous = () => startUpstream((_request, response) => response.end(`"${canary}"`))

test('gh reads no other repository that the token may read', async () => {
  await using wayOut = await open(951)
  const { sandbox } = wayOut
  assertUnread(
    await attack(
      sandbox,
      'gh api repos/acme/other/issues; gh api repos/acme/other/issues/1; gh api /repos/Acme/OTHER/issues',
      network,
    ),
  )
  const { stdout } = await attack(sandbox, 'gh api repos/acme/app/issues -q ".[].title"', network)
  assert.match(stdout, /Known/)
})

test('no spelling of a path leads to another repository', async () => {
  await using wayOut = await open(952)
  const ways = ['..', '%2e%2e', '.%2E', '..;'].map(
    (up) => `${own}/contents/${up}/${up}/other/issues`,
  )
  const tries = [...ways, `${own}/contents/..%2F..%2Fother/issues`, `//x/..${own}/../other/issues`]
  const asked = tries.map((path) => asking(wayOut.sandbox, { path, headers: { host } }))
  assertUnread(await attack(wayOut.sandbox, asked.join('\n'), network))
})

test('no fork is read by the name of its owner', async () => {
  await using upstream = await generous()
  await using wayOut = await open(950, { apiUrl: upstream.url })
  const what = [
    'compare/main...rival:secret',
    'compare/rival:app-private:main...main',
    'commits/rival:secret',
  ]
  const script = what.map((rest) => `gh api repos/acme/app/${rest}`).join('\n')
  assertUnread(await attack(wayOut.sandbox, script, network))
})

test('secrets, keys and settings of the repository are not read', async () => {
  await using upstream = await generous()
  await using wayOut = await open(953, { apiUrl: upstream.url })
  const what = [
    'actions/secrets',
    'actions/variables',
    'keys',
    'hooks',
    'environments',
    'tarball/x',
    'branches/main/protection',
  ]
  const script = what.map((rest) => `gh api repos/acme/app/${rest}`).join('\n')
  assertUnread(await attack(wayOut.sandbox, script, network))
})

test('the API merges, moves, deletes and dispatches nothing', async () => {
  await using upstream = await generous()
  await using wayOut = await open(954, { apiUrl: upstream.url })
  const script = [
    'gh api -X PUT repos/acme/app/pulls/1/merge',
    'gh api -X DELETE repos/acme/app/git/refs/heads/main',
    'gh api -X PATCH repos/acme/app/git/refs/heads/main -f sha=0',
    'gh api -X PATCH repos/acme/app -F archived=true',
    'gh api repos/acme/app/actions/workflows/ci.yml/dispatches -f ref=main',
    'gh api repos/acme/app/keys -f key=x',
    'gh api -X PUT repos/acme/app/collaborators/eve',
  ].join('\n')
  await attack(wayOut.sandbox, script, network)
  assert.deepEqual(
    upstream.requests.map(({ path }) => path),
    [],
    'the canary API was written to',
  )
})

test('nothing is commented on that the order does not name', async () => {
  await using wayOut = await open(955)
  const script = 'gh api repos/acme/app/issues/1/comments -f body=spam'
  await attack(wayOut.sandbox, script, network)
  assert.equal(app.talk.comments.length, 0, 'the canary issue was commented on')
})

test('GraphQL, whose queries show no repository, is not asked', async () => {
  await using upstream = await generous()
  await using wayOut = await open(956, { apiUrl: upstream.url })
  const script = "gh api graphql -f query='{ viewer { login } }'; gh issue list -R acme/other"
  assertUnread(await attack(wayOut.sandbox, script, network))
})

test('an API that repeats its credential does not tell it', async () => {
  await using upstream = await startUpstream((request, response) =>
    response.end(JSON.stringify(request.headers.authorization)),
  )
  const credential = async () => canary
  await using wayOut = await open(957, { apiUrl: upstream.url, credential })
  const heard = await attack(wayOut.sandbox, 'gh api repos/acme/app/issues', network)
  assert.equal(upstream.requests[0]?.headers.authorization, `Bearer ${canary}`)
  assertUnread(heard)
})

test('no credential that GitHub makes of its own is told', async () => {
  const full = { temp_clone_token: canary, download_url: `https://raw.example/a?token=${canary}` }
  await using upstream = await startUpstream((_request, response) =>
    response.end(JSON.stringify(full)),
  )
  await using wayOut = await open(948, { apiUrl: upstream.url })
  const heard = await attack(
    wayOut.sandbox,
    'gh api repos/acme/app -q .temp_clone_token; gh api repos/acme/app/contents/a',
    network,
  )
  assertUnread(heard)
  assert.equal(upstream.requests.length, 2)
  assert.match(heard.stdout, /token=\[secret\]/)
})

test('no query asks for a credential under another name', async () => {
  await using upstream = await generous()
  await using wayOut = await open(949, { apiUrl: upstream.url, graphql: true })
  const script = `gh api graphql -f query='{ repository(owner: "acme", name: "app") { x: tempCloneToken } }'`
  assertUnread(await attack(wayOut.sandbox, script, network))
})
