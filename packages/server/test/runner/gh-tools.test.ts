/** The gh tools as the agent calls them, each in use and in misuse, against the fake GitHub. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TaskOrder } from '@longhaul/client/contract'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import { gitHubTools } from '../../src/agent/tools/gh.ts'
import { systemClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import type { NewEvent } from '../../src/events/append.ts'
import { GitCredentials } from '../../src/gateway/credentials.ts'
import { createLog } from '../../src/log.ts'
import { commentsOf } from '../../src/runner/comments.ts'
import { gitHubFunctions } from '../../src/runner/github-functions.ts'
import { connectTools, type ToolClient } from '../agent/tools/client.ts'
import { advance } from '../support/advance.ts'

const branch = 'agent/refactor-x'
/** A lease that nobody else takes. */
const held = { guard: <T>(credential: T): T => credential }

let github: FakeGitHub
let app: FakeRepository
before(async () => {
  github = await startFakeGitHub()
})
after(() => github.close())

/** The tools of a task on a repository of its own, with an issue, #1, that the order names. */
async function open(o: {
  name: string
  instructions?: string
  token?: string
}): Promise<ToolClient & { events: NewEvent[] }> {
  app = await github.createRepository({ owner: 'acme', name: o.name, files: { 'a.txt': 'a\n' } })
  app.talk.open({ title: 'It is broken', body: 'Since Monday.', author: 'ada', labels: ['bug'] })
  const events: NewEvent[] = []
  const asking = {
    deps: depsOf({
      GITHUB_URL: github.url,
      GITHUB_API_URL: github.apiUrl,
      GITHUB_TOKEN: o.token ?? github.token,
    }),
    task: { order: orderOf(app.url, o.instructions ?? 'Mend #1.') },
    writer: { write: async (event: NewEvent) => void events.push(event) },
    branch,
  }
  const functions = gitHubFunctions({ ...asking, comments: commentsOf(asking), hold: held })
  assert.ok(functions)
  return Object.assign(await connectTools(gitHubTools(functions)), { events })
}

function depsOf(env: Record<string, string>) {
  const [config, clock, log] = [loadConfig(env), systemClock, createLog('silent')]
  return { config, clock, log, credentials: new GitCredentials(config.github, { clock, log }) }
}

function orderOf(repoUrl: string, instructions: string): TaskOrder {
  return { type: 'refactor', priority: 'medium', timeLimitMinutes: 60, repoUrl, instructions }
}

/** Opens a pull request, as the server does when it publishes. */
async function openPullRequest(title: string, head: string): Promise<void> {
  await advance(app, { branch: 'main', path: 'b.txt', text: title, to: head })
  const made = await fetch(`${github.apiUrl}/repos/acme/${app.name}/pulls`, {
    method: 'POST',
    headers: { authorization: `Bearer ${github.token}` },
    body: JSON.stringify({ title, head, base: 'main', body: 'What it does.' }),
  })
  assert.equal(made.status, 201)
}

test('issues and pull requests are listed, the newest first, each kind by its own tool', async () => {
  await using tools = await open({ name: 'lists' })
  app.talk.open({ title: 'Old', author: 'bob', labels: ['bug', 'later'], state: 'closed' })
  await openPullRequest('Mend it', branch)
  assert.equal(await tools.call('gh_issue_list'), '#1 It is broken (open, by ada, bug)')
  assert.equal(
    await tools.call('gh_issue_list', { state: 'all', labels: ['bug'] }),
    '#2 Old (closed, by bob, bug, later)\n#1 It is broken (open, by ada, bug)',
  )
  assert.equal(await tools.call('gh_issue_list', { labels: ['none'] }), 'There are none.')
  assert.equal(await tools.call('gh_pr_list'), '#3 Mend it (open, by acme)')
  assert.equal(await tools.call('gh_pr_list', { state: 'closed' }), 'There are none.')
})

test('an issue is shown with its last comments', async () => {
  await using tools = await open({ name: 'issue' })
  for (let n = 1; n <= 65; n += 1)
    app.talk.comment({ number: 1, author: 'bob', body: n === 65 ? 'y'.repeat(9000) : `No. ${n}.` })
  const said = await tools.call('gh_issue_view', { number: 1 })
  assert.match(
    said,
    /^#1 It is broken \(open, by ada, bug\)\nhttp.*\/issues\/1\n\nSince Monday\.\n/,
  )
  assert.match(said, /\[35 earlier comments left out\]\n\n--- bob commented:\nNo\. 36\.\n/)
  assert.match(said, /No\. 64\.\n\n--- bob commented:\ny{8000}\n\[1000 characters left out\]$/)
  assert.ok(!said.includes('No. 35.'))
  assert.match(
    await tools.call('gh_issue_view', { number: 99 }),
    /^error: GitHub answered 404: Not Found/,
  )
})

test("a pull request is shown with comments and reviews; without a number it is the task's own", async () => {
  await using tools = await open({ name: 'pull' })
  assert.equal(await tools.call('gh_pr_view'), 'error: This task has no pull request yet.')
  await openPullRequest('Another', 'agent/other')
  await openPullRequest('Mend it', branch)
  app.talk.comment({ number: 3, author: 'ada', body: 'Thanks!' })
  app.talk.review({ number: 3, author: 'bob', state: 'CHANGES_REQUESTED', body: 'Not so fast.' })
  const at = { path: 'b.txt', line: 1 }
  app.talk.comment({ number: 3, author: 'bob', body: 'Why this?', at })
  const said = await tools.call('gh_pr_view')
  assert.match(
    said,
    /^#3 Mend it \(open, by acme\)\nhttp.*\/pull\/3\nagent\/refactor-x \([0-9a-f]{40}\) into main\n\nWhat it does\.\n/,
  )
  assert.match(
    said,
    /--- ada commented:\nThanks!\n\n--- bob reviewed: CHANGES_REQUESTED:\nNot so fast\.\n\n--- bob on b\.txt:1:\nWhy this\?$/,
  )
  assert.match(await tools.call('gh_pr_view', { number: 2 }), /^#2 Another/)
  assert.match(await tools.call('gh_pr_view', { number: 1 }), /^error: GitHub answered 404/)
})

test('checks are those of the last commit, of both kinds', async () => {
  await using tools = await open({ name: 'checks' })
  assert.match(await tools.call('gh_checks'), /^error: GitHub answered 422: No commit found/)
  await openPullRequest('Mend it', branch)
  assert.equal(await tools.call('gh_checks'), 'There are no checks.')
  const sha = (await app.commits(branch))[0]?.sha ?? ''
  app.talk.check({ kind: 'check', sha, name: 'build', conclusion: 'failure', summary: 'Line 3.' })
  app.talk.check({ kind: 'status', sha, name: 'ci/deploy', conclusion: null, summary: 'Waiting' })
  const expected = /^build: failure \(http.*\)\nLine 3\.\nci\/deploy: pending \(http.*\)\nWaiting$/
  assert.match(await tools.call('gh_checks'), expected)
  assert.match(await tools.call('gh_checks', { number: 2 }), expected)
  github.beforeRequest(({ path }) =>
    path.includes('/check-runs')
      ? { status: 403, message: 'Resource not accessible by personal access token' }
      : undefined,
  )
  assert.match(
    await tools.call('gh_checks'),
    /^ci\/deploy: pending[\s\S]*\[the server's token may not read check runs\]$/,
  )
  github.beforeRequest(null)
})

test('a comment goes to what the order names or to its own pull request, and nowhere else', async () => {
  await using tools = await open({
    name: 'comments',
    instructions: `Mend #1 as other/app#3 does; see ${github.url}/acme/comments/issues/4, not https://elsewhere.example/acme/comments/issues/6 nor #70.`,
  })
  for (const title of ['second', 'third', 'fourth']) app.talk.open({ title })
  await openPullRequest('Mend it', branch)
  app.talk.open({ title: 'sixth' })
  app.talk.open({ title: 'seventh' })
  const say = (number: number, body = 'Done.') => tools.call('gh_issue_comment', { number, body })
  for (const number of [1, 4, 5])
    assert.match(await say(number), /^Commented: http.*issuecomment-\d+$/, `${number}`)
  for (const number of [2, 3, 6, 7])
    assert.match(await say(number), /^error: #\d is neither this task's pull request/, `${number}`)
  assert.deepEqual(
    app.talk.comments.map(({ number, author, body }) => [number, author, body]),
    [1, 4, 5].map((number) => [number, 'acme', 'Done.']),
  )
  assert.deepEqual(
    tools.events.map(({ type, number }) => [type, number]),
    [1, 4, 5].map((number) => ['task.commented', number]),
  )
})

test('comments that bots take for commands, are empty, or too many are refused', async () => {
  await using tools = await open({ name: 'bots' })
  const say = (body: string) => tools.call('gh_issue_comment', { number: 1, body })
  assert.match(await say('Look:\n  /deploy production'), /^error: A line begins like a command/)
  assert.match(await say('   '), /^error: The input of gh_issue_comment is not valid\. body: Too/)
  assert.match(await say('x'.repeat(20_001)), /^error: .*body: Too big/)
  for (let n = 0; n < 10; n += 1) assert.match(await say(`No. ${n}, in /tmp.`), /^Commented/)
  assert.match(await say('Once more.'), /^error: At most 10 comments/)
  assert.equal(app.talk.comments.length, 10)
})

test('what GitHub refuses is said in its words, and a comment whose answer is lost is not made twice', async () => {
  await using tools = await open({ name: 'refusals', instructions: 'Mend #1 and #2.' })
  app.talk.open({ title: 'Heated', locked: true })
  assert.match(
    await tools.call('gh_issue_comment', { number: 2, body: 'Calm.' }),
    /^error: GitHub answered 403: Unable to create comment because issue is locked/,
  )
  github.beforeRequest(({ action }) => (action === 'create_comment' ? 'lose_answer' : undefined))
  assert.match(
    await tools.call('gh_issue_comment', { number: 1, body: 'Done.' }),
    /^error: GitHub cannot be reached/,
  )
  github.beforeRequest(null)
  assert.equal(app.talk.comments.length, 1)
})

test('a token that GitHub does not take is said, and is not in what the agent reads', async () => {
  await using tools = await open({ name: 'token', token: 'a-wrong-token' })
  for (const name of ['gh_issue_list', 'gh_pr_list']) {
    const said = await tools.call(name)
    assert.match(said, /^error: GitHub answered 401: Bad credentials/)
    assert.ok(!said.includes('a-wrong-token'))
  }
})

const wrong: readonly (readonly [name: string, input: Record<string, unknown>, why: RegExp])[] = [
  ['gh_pr_list', { state: 'merged', limit: 51 }, /state: Invalid option.*limit: Too big/],
  ['gh_pr_view', { number: 0 }, /number: Too small/],
  ['gh_pr_view', { number: '../../orgs' }, /number: Invalid input/],
  ['gh_issue_list', { labels: ['a,b'] }, /labels\.0: expected a label without a comma/],
  ['gh_issue_view', {}, /number: Invalid input/],
  ['gh_issue_comment', { number: 1, body: 'x', repo: 'other' }, /Unrecognized key: "repo"/],
  ['gh_checks', { number: 1.5 }, /number: Invalid input/],
]

test('inputs that do not fit the schema are refused, and GitHub is not asked', async () => {
  await using tools = await open({ name: 'wrong' })
  const asked = github.requests.length
  for (const [name, input, why] of wrong) assert.match(await tools.call(name, input), why, name)
  assert.equal(github.requests.length, asked)
})

test('there are no gh tools where the repository is a plain git remote, or there is no token', () => {
  const functions = (env: Record<string, string>, repoUrl: string) => {
    const asking = {
      deps: depsOf(env),
      task: { order: orderOf(repoUrl, 'Mend #1.') },
      writer: { write: async () => undefined },
      branch,
    }
    return gitHubFunctions({ ...asking, comments: commentsOf(asking), hold: held })
  }
  const env = { GITHUB_TOKEN: 'token', GITHUB_URL: 'https://github.example' }
  assert.equal(functions(env, 'https://elsewhere.example/acme/app'), null)
  assert.equal(functions({ GITHUB_URL: env.GITHUB_URL }, 'https://github.example/acme/app'), null)
  assert.notEqual(functions(env, 'https://github.example/acme/app'), null)
})
