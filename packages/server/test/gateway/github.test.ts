import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { type Clock, systemClock } from '../../src/clock.ts'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { createGitHub } from '../../src/gateway/github.ts'
import { GitHubRefused } from '../../src/gateway/github-call.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { log, startUpstream, type Upstream } from './harness.ts'

const signal = new AbortController().signal
const order = { base: 'main', title: 't', body: 'b', draft: false, replaces: null, signal }

function github(upstream: Upstream, waits: number[] = []) {
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms) => {
      waits.push(ms)
    },
  }
  const apiUrl = new URL('/api/v3', upstream.url)
  return createGitHub({
    apiUrl,
    credential: fixedCredential('real'),
    scrubber: new Scrubber([]),
    owner: 'acme',
    repo: 'app',
    log,
    clock,
  })
}

const draftRefused = 'Draft pull requests are not supported in this repository.'

type Reply = [status: number, body: unknown, headers?: Record<string, string>]

/** Answers in order; the last answer stays. */
function replies(...list: Reply[]) {
  let at = 0
  return (_request: IncomingMessage, response: ServerResponse): void => {
    const [status, body, headers] = list[Math.min(at, list.length - 1)] ?? [500, {}]
    at += 1
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
}

function pull(number: number, o: { ref?: string; state?: string } = {}) {
  const html_url = `https://github.example/acme/app/pull/${number}`
  return {
    html_url,
    number,
    state: o.state ?? 'open',
    head: { ref: o.ref ?? 'agent/x', sha: 'a1' },
  }
}

test('the default branch is asked with the token, below this repository only', async () => {
  await using upstream = await startUpstream(replies([200, { default_branch: 'trunk' }]))
  assert.deepEqual(await github(upstream).repository(signal), { defaultBranch: 'trunk' })
  const [seen] = upstream.requests
  assert.equal(seen?.path, '/api/v3/repos/acme/app')
  assert.equal(seen?.headers.authorization, 'Bearer real')
})

test('a pull request is found by its head, an open one first', async () => {
  const list = [pull(3, { ref: 'other' }), pull(2, { state: 'closed' }), pull(1)]
  await using upstream = await startUpstream(replies([200, list]))
  const found = await github(upstream).findPullRequest({ head: 'agent/x', signal })
  const url = 'https://github.example/acme/app/pull/1'
  assert.deepEqual(found, { number: 1, url, draft: false, state: 'open', commit: 'a1' })
  const { searchParams } = new URL(upstream.requests[0]?.path ?? '', upstream.url)
  assert.deepEqual([searchParams.get('head'), searchParams.get('state')], ['acme:agent/x', 'all'])
})

test('no pull request of this head is null, whatever else is listed', async () => {
  await using upstream = await startUpstream(replies([200, [pull(3, { ref: 'other' })]]))
  assert.equal(await github(upstream).findPullRequest({ head: 'agent/x', signal }), null)
})

test('opening looks first, and returns what is there', async () => {
  await using upstream = await startUpstream(replies([200, [pull(4)]]))
  const opened = await github(upstream).openPullRequest({ head: 'agent/x', ...order })
  assert.equal(opened.number, 4)
  assert.equal(upstream.requests.length, 1)
})

test('one that was merged or closed counts as there, but for the one that is to be replaced', async () => {
  const list = [{ ...pull(4, { state: 'closed' }), merged_at: '2026-01-01T00:00:00Z' }]
  await using upstream = await startUpstream(
    replies([200, list], [200, list], [201, pull(5)], [200, [pull(5), ...list]]),
  )
  const open = (replaces: string | null) =>
    github(upstream).openPullRequest({ head: 'agent/x', ...order, replaces })
  const found = await open(null)
  assert.deepEqual([found.number, found.state], [4, 'merged'])
  assert.equal((await open(found.url)).number, 5)
  assert.equal((await open(found.url)).number, 5)
  assert.equal(upstream.requests.length, 4)
})

test('a pull request that somebody else opened meanwhile is returned', async () => {
  const duplicate = { message: 'Validation Failed', errors: [{ message: 'already exists' }] }
  await using upstream = await startUpstream(replies([200, []], [422, duplicate], [200, [pull(5)]]))
  const opened = await github(upstream).openPullRequest({ head: 'agent/x', ...order })
  assert.equal(opened.number, 5)
})

test('an answer that was lost is looked for before creating again', async () => {
  let made = 0
  await using upstream = await startUpstream((request, response) => {
    if (request.method === 'POST') {
      made += 1
      response.destroy()
    } else replies([200, made === 0 ? [] : [pull(6)]])(request, response)
  })
  const opened = await github(upstream).openPullRequest({ head: 'agent/x', ...order })
  assert.deepEqual([opened.number, made], [6, 1])
})

test('a refusal is thrown at once, with the words of GitHub', async () => {
  const words = { message: 'Validation Failed', errors: [{ message: 'No commits' }] }
  await using upstream = await startUpstream(replies([200, []], [422, words], [200, []]))
  const opening = github(upstream).openPullRequest({ head: 'agent/x', ...order })
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof GitHubRefused)
    assert.equal(error.status, 422)
    assert.match(error.message, /No commits/)
    return true
  })
})

test('what may not be a draft is opened as it may be, and other refusals stay refusals', async () => {
  const words = { message: 'Validation Failed', errors: [{ message: draftRefused }] }
  await using upstream = await startUpstream(
    replies([200, []], [422, words], [200, []], [201, pull(7)]),
  )
  const draft = { ...order, draft: true }
  const opened = await github(upstream).openPullRequest({ head: 'agent/x', ...draft })
  assert.deepEqual([opened.number, opened.draft], [7, false])
  assert.deepEqual(
    upstream.requests.flatMap(({ body }) => (body === '' ? [] : [JSON.parse(body).draft])),
    [true, false],
  )
  await using other = await startUpstream(replies([200, []], [422, { message: 'No' }], [200, []]))
  await assert.rejects(github(other).openPullRequest({ head: 'agent/x', ...draft }), /422: No/)
})

test('server errors and rate limits are tried again, as long as GitHub asks', async () => {
  const waits: number[] = []
  await using upstream = await startUpstream(
    replies(
      [502, {}],
      [403, { message: 'You have exceeded a secondary rate limit' }, { 'retry-after': '7' }],
      [429, {}],
      [200, { default_branch: 'main' }],
    ),
  )
  await github(upstream, waits).repository(signal)
  assert.deepEqual(waits, [1000, 7000, 4000])
})

test('five tries are the most, and a minute of waiting', async () => {
  const waits: number[] = []
  await using down = await startUpstream(replies([503, { message: 'down' }]))
  await assert.rejects(github(down, waits).repository(signal), /GitHub answered 503: down/)
  assert.deepEqual([waits.length, down.requests.length], [4, 5])
  await using limited = await startUpstream(replies([429, {}, { 'retry-after': '3600' }]))
  await assert.rejects(github(limited).repository(signal), GitHubRefused)
  assert.equal(limited.requests.length, 1)
})

test('a plain 403 is no rate limit', async () => {
  await using upstream = await startUpstream(replies([403, { message: 'Resource not accessible' }]))
  await assert.rejects(github(upstream).repository(signal), /not accessible/)
  assert.equal(upstream.requests.length, 1)
})

test('a redirect is not followed, and what is not an answer is refused', async () => {
  await using moved = await startUpstream(replies([301, {}, { location: 'http://127.0.0.1:9/' }]))
  await assert.rejects(github(moved).repository(signal), /redirects are not followed/)
  await using odd = await startUpstream(replies([200, { default_branch: 7 }]))
  await assert.rejects(github(odd).repository(signal), /something unexpected/)
  const bad = { ...pull(1), html_url: 'javascript:alert(1)' }
  await using sly = await startUpstream(replies([200, [bad]]))
  await assert.rejects(github(sly).findPullRequest({ head: 'agent/x', signal }), GitHubRefused)
})

test('an abort ends a request that hangs', async () => {
  await using upstream = await startUpstream(() => {})
  const controller = new AbortController()
  const pending = github(upstream).repository(controller.signal)
  controller.abort(new Error('cancelled'))
  await assert.rejects(pending, /cancelled/)
})

test('owner and repository must be names', () => {
  for (const owner of ['a/b', '..', '', 'a b', 'a?x'])
    assert.throws(() =>
      createGitHub({
        apiUrl: 'http://127.0.0.1:9',
        credential: fixedCredential(null),
        scrubber: new Scrubber([]),
        owner,
        repo: 'app',
        log,
        clock: systemClock,
      }),
    )
})
