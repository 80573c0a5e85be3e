/** Settings of repositories, over HTTP: what they are, and what they do to an order. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openTestApp, order, type TestApp, workflowOrder } from './fixture.ts'
import { expectRefusal, short } from './refusal.ts'

let server: TestApp
let made = 0
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function ask(status: number, method: string, path: string, body?: object) {
  const answer = await server.send(method, path, body ? { body } : {})
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return { answer, ...JSON.parse(text) }
}

/** A repository with these settings. */
async function create(settings: object = {}) {
  made += 1
  const url = `https://github.com/acme/app-${made}`
  return await ask(201, 'POST', '/v1/repositories', { url, ...settings })
}

const all = {
  setup: ['npm ci'],
  checks: ['npm test', 'npm run lint'],
  base_branch: 'develop',
  workdir: 'packages/api',
  time_limit_minutes: 90,
  max_budget_usd: 5,
  budget_deadline_minutes: 30,
  budget_raise_to_usd: 8,
  pull_request: {
    draft: true,
    reviewers: ['octocat', 'ada_acme'],
    team_reviewers: ['core'],
    labels: ['agent', 'to do'],
  },
  commit: { name: 'Acme Bot', email: '1+acme[bot]@users.noreply.github.com' },
  allow_workflow_changes: true,
}
const none = Object.fromEntries(Object.keys(all).map((name) => [name, null]))
const noPullRequest = { draft: null, reviewers: null, team_reviewers: null, labels: null }
/** What is shown where nothing is set. */
const unset = {
  ...none,
  environment: null,
  concurrency: null,
  pull_request: noPullRequest,
  allow_workflow_changes: false,
}
const allFilled = [
  ...Object.keys(all).filter((name) => name !== 'pull_request'),
  ...Object.keys(noPullRequest).map((name) => `pull_request.${name}`),
]

test('a repository is created by its URL, in whichever form, and read back', async () => {
  const url = 'git@github.com:acme/forms.git'
  const { answer, ...repository } = await ask(201, 'POST', '/v1/repositories', { url, ...all })
  assert.match(repository.id, /^repo_[0-9a-z]{26}$/)
  assert.equal(answer.headers.get('location'), `/v1/repositories/${repository.id}`)
  const { id, created_by, created_at, updated_at, ...rest } = repository
  const shown = {
    url: 'https://github.com/acme/forms',
    ...all,
    environment: null,
    concurrency: null,
  }
  assert.deepEqual(rest, shown)
  assert.match(created_by, /^key_/)
  assert.equal(updated_at, created_at)
  const { answer: _, ...read } = await ask(200, 'GET', `/v1/repositories/${id}`)
  assert.deepEqual(read, repository)
})

test('a repository has settings once, whatever case its URL is in', async () => {
  const { url } = await create()
  const { error } = await ask(409, 'POST', '/v1/repositories', { url: url.toUpperCase() })
  assert.equal(error.details.error_code, 'repository_exists')
  const racing = { url: 'https://github.com/acme/racing' }
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => server.send('POST', '/v1/repositories', { body: racing })),
  )
  const statuses = answers.map(({ status }) => status).sort()
  assert.deepEqual(statuses, [201, ...Array(7).fill(409)])
})

test('a repository that is created twice with one key is created once', async () => {
  const headers = { 'idempotency-key': 'once' }
  const body = { url: 'https://github.com/acme/once' }
  const send = () => server.send('POST', '/v1/repositories', { body, headers })
  const [first, second] = [await send(), await send()]
  assert.deepEqual([first.status, second.status], [201, 201])
  assert.deepEqual(await second.json(), await first.json())
})

test('a change keeps what it does not name, and null clears', async () => {
  const { id, created_at } = await create(all)
  const path = `/v1/repositories/${id}`
  const changed = await ask(200, 'POST', path, { checks: [], commit: null, workdir: null })
  const expected = { ...all, checks: [], commit: null, workdir: null }
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(changed[name], value, name)
  assert.equal(changed.created_at, created_at)
  const cleared = await ask(200, 'POST', path, none)
  for (const [name, value] of Object.entries(unset)) assert.deepEqual(cleared[name], value, name)
})

test('a change within pull_request keeps what it does not name, too', async () => {
  const { id } = await create(all)
  const path = `/v1/repositories/${id}`
  const patch = { draft: false, reviewers: null, labels: [] }
  const { pull_request } = await ask(200, 'POST', path, { pull_request: patch })
  assert.deepEqual(pull_request, { ...all.pull_request, ...patch })
})

test('racing changes of one repository are all made', async () => {
  const { id } = await create()
  const path = `/v1/repositories/${id}`
  await Promise.all(
    Object.entries(all).map(([name, value]) => ask(200, 'POST', path, { [name]: value })),
  )
  const read = await ask(200, 'GET', path)
  for (const [name, value] of Object.entries(all)) assert.deepEqual(read[name], value, name)
})

test('repositories are listed newest first, page by page, and found by URL', async () => {
  const ids: string[] = []
  for (let n = 0; n < 3; n += 1) ids.unshift((await create()).id)
  const first = await ask(200, 'GET', '/v1/repositories?limit=2')
  assert.deepEqual(
    first.data.map(({ id }: { id: string }) => id),
    ids.slice(0, 2),
  )
  const second = await ask(200, 'GET', `/v1/repositories?limit=1&page=${first.next_page}`)
  assert.equal(second.data[0].id, ids[2])
  const { url } = first.data[0]
  const found = await ask(200, 'GET', `/v1/repositories?url=${encodeURIComponent(`${url}.git`)}`)
  assert.deepEqual([found.data.length, found.data[0].id, found.next_page], [1, ids[0], null])
})

test('a deleted repository is gone, and its URL is free', async () => {
  const { id, url } = await create(all)
  const { answer: _, ...deleted } = await ask(200, 'DELETE', `/v1/repositories/${id}`)
  assert.deepEqual(deleted, { id, type: 'repository_deleted' })
  await ask(404, 'GET', `/v1/repositories/${id}`)
  await ask(201, 'POST', '/v1/repositories', { url })
})

test('an order takes what it leaves open from its repository, and the task shows what came of it', async () => {
  const { id, url } = await create(all)
  const task = await ask(201, 'POST', '/v1/tasks', { ...order, repo_url: url.toUpperCase() })
  for (const [name, value] of Object.entries(all)) assert.deepEqual(task[name], value, name)
  assert.deepEqual(task.from_repository.sort(), allFilled.toSorted())
  await ask(200, 'POST', `/v1/repositories/${id}`, none)
  const later = await ask(200, 'GET', `/v1/tasks/${task.id}`)
  assert.deepEqual(later.checks, all.checks, 'a later change does not reach it')
})

test('what an order says wins, an empty list too', async () => {
  const { url } = await create(all)
  const said = { setup: [], base_branch: 'main', workdir: 'web', time_limit_minutes: 5 }
  const pullRequest = { draft: false, labels: [] }
  const given = { ...order, repo_url: url, ...said, pull_request: pullRequest }
  const task = await ask(201, 'POST', '/v1/tasks', given)
  const expected = { ...all, ...said, pull_request: { ...all.pull_request, ...pullRequest } }
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(task[name], value, name)
  assert.deepEqual(task.from_repository.sort(), [
    ...['allow_workflow_changes', 'budget_deadline_minutes', 'budget_raise_to_usd'],
    ...['checks', 'commit', 'max_budget_usd'],
    ...['pull_request.reviewers', 'pull_request.team_reviewers'],
  ])
})

test('an order at /api/workflows is filled in the same way', async () => {
  const { url } = await create(all)
  const said = { checks: ['true'], pullRequest: { teamReviewers: [] } }
  const { id } = await ask(201, 'POST', '/api/workflows', {
    ...workflowOrder,
    repoUrl: url,
    ...said,
  })
  const task = await ask(200, 'GET', `/v1/tasks/${id}`)
  const pullRequest = { ...all.pull_request, team_reviewers: [] }
  const expected = { ...all, checks: ['true'], pull_request: pullRequest }
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(task[name], value, name)
})

test('an order on a repository without settings has the defaults', async () => {
  const task = await ask(201, 'POST', '/v1/tasks', order)
  assert.equal(task.environment.version, 1)
  const { environment: _, concurrency: __, ...open } = unset
  for (const [name, value] of Object.entries({ ...open, time_limit_minutes: 60 }))
    assert.deepEqual(task[name], value, name)
  assert.deepEqual(task.from_repository, [])
})

test('a budget that would be raised to no more than it was is refused', async () => {
  const limits = { max_budget_usd: 5, budget_raise_to_usd: 5 }
  const { id, url } = await create()
  for (const [path, given, field, budget] of [
    ['/v1/tasks', { ...order, ...limits }, 'budget_raise_to_usd', 'max_budget_usd'],
    [
      '/api/workflows',
      { ...workflowOrder, maxBudgetUsd: 5, budgetRaiseToUsd: 5 },
      ...(['budgetRaiseToUsd', 'maxBudgetUsd'] as const),
    ],
    [
      '/v1/repositories',
      { url: `${url}-more`, ...limits },
      'budget_raise_to_usd',
      'max_budget_usd',
    ],
    [`/v1/repositories/${id}`, limits, 'budget_raise_to_usd', 'max_budget_usd'],
  ] as const) {
    const { error } = await ask(400, 'POST', path, given)
    const message = `expected more than ${budget}, which is 5, got 5`
    assert.deepEqual(error.details.fields, [{ field, message }], path)
  }
})

const longest = (length: number) => 'x'.repeat(length)
const badSettings: readonly (readonly [field: string, value: unknown, ...says: string[]])[] = [
  ['setup', 'npm ci', 'expected an array, got "npm ci"'],
  ['checks', [''], 'expected at least 1 character'],
  ['base_branch', 'a..b', 'expected the name of a branch', 'got "a..b"'],
  ['workdir', '../x', 'expected a relative path', 'got "../x"'],
  ['time_limit_minutes', 0, 'expected at least 1, got 0'],
  ['time_limit_minutes', 1381, 'expected at most 1380'],
  ['max_budget_usd', 0, 'expected more than 0'],
  ['budget_deadline_minutes', 1.5, 'expected a whole number'],
  ['budget_raise_to_usd', '8', 'expected a number'],
  ['pull_request', [], 'expected an object'],
  ['pull_request', { draft: 'yes' }, 'pull_request.draft: expected true or false, got "yes"'],
  ['pull_request', { reviewers: 'ada' }, 'pull_request.reviewers: expected an array'],
  ['pull_request', { reviewers: ['@ada'] }, 'pull_request.reviewers.0: expected a login', '"@ada"'],
  ['pull_request', { reviewers: Array(16).fill('a') }, 'expected at most 15 entries'],
  ['pull_request', { team_reviewers: ['a/b'] }, 'pull_request.team_reviewers.0: expected the slug'],
  ['pull_request', { labels: [' '] }, 'pull_request.labels.0: expected text that is not blank'],
  ['pull_request', { labels: [longest(51)] }, 'expected at most 50 characters'],
  ['pull_request', { teamReviewers: [] }, 'pull_request.teamReviewers: unknown field'],
  ['commit', 'Bot <bot@example.com>', 'expected an object'],
  ['commit', { name: 'Bot' }, 'commit.email: expected a string, got nothing'],
  ['commit', { name: '', email: 'a@b.c' }, 'commit.name: expected at least 1 character'],
  ['commit', { name: 'a\nb', email: 'a@b.c' }, 'commit.name: expected a name on one line'],
  ['commit', { name: 'a <b>', email: 'a@b.c' }, 'without angle brackets'],
  ['commit', { name: ' . ', email: 'a@b.c' }, 'commit.name: expected a name'],
  ['commit', { name: 'The "Bot"', email: 'a@b.c' }, 'or a stop at its ends'],
  ['commit', { name: longest(101), email: 'a@b.c' }, 'expected at most 100 characters'],
  ['commit', { name: 'Bot', email: 'bot' }, 'commit.email: expected an e-mail address'],
  ['commit', { name: 'Bot', email: 'a b@c.d' }, 'commit.email: expected an e-mail address'],
  ['commit', { name: 'Bot', email: 'a@b>c' }, 'commit.email: expected an e-mail address'],
  ['commit', { name: 'Bot', email: `a@${longest(260)}` }, 'expected at most 254 characters'],
  ['commit', { name: 'Bot', email: 'a@b.c', key: 1 }, 'commit.key: unknown field, got 1'],
  ['allow_workflow_changes', 'yes', 'expected true or false, got "yes"'],
  ['concurrency', 0, 'concurrency: expected'],
  ['colour', 'red', 'colour: unknown field, got "red"'],
]
test('bad settings are refused when a repository is created and when it is changed', async (t) => {
  const { id } = await create()
  for (const [field, value, ...says] of badSettings)
    await t.test(`${field}: ${short(value)}`, async () => {
      const url = 'https://github.com/acme/bad'
      const rows = [
        ['/v1/repositories', { url, [field]: value }],
        [`/v1/repositories/${id}`, { [field]: value }],
      ] as const
      for (const [path, body] of rows)
        await expectRefusal(server, { send: ['POST', path, { body }], status: 400, says })
    })
})

test('a repository is refused where its orders would be', async () => {
  for (const [url, ...says] of [
    [undefined, 'url: expected a string, got nothing'],
    ['acme/app', 'url: expected a repository URL'],
    ['http://10.0.0.1/acme/app', 'url: expected an https URL'],
  ] as const)
    await expectRefusal(server, {
      ...{ send: ['POST', '/v1/repositories', { body: { url, setup: 1 } }], status: 400 },
      says: [...says, 'setup: expected an array, got 1'],
    })
})
