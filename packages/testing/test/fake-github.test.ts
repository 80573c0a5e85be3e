/** The fake GitHub with its real clients: git, and fetch as an API client would use it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { FakeGitHub, FakeRepository } from '../src/index.ts'
import { startFakeGitHub } from '../src/index.ts'

const run = promisify(execFile)
const work = await mkdtemp(join(tmpdir(), 'longhaul-git-'))
after(() => rm(work, { recursive: true, force: true }))

const { PATH = '' } = process.env
const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com']
const git = async (directory: string, ...args: string[]) => {
  const env = { PATH, HOME: work, GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' }
  const options = { env, timeout: 60_000 }
  const { stdout } = await run('git', ['-C', directory, ...identity, ...args], options)
  return stdout
}
const authorized = (url: string, token: string) => url.replace('//', `//x-access-token:${token}@`)

/** A clone with one commit on a branch of its own, not pushed yet. */
async function cloneWithChange(github: FakeGitHub, app: FakeRepository, branch = 'agent/fix') {
  const clone = await mkdtemp(join(work, 'clone-'))
  await git(work, 'clone', '--quiet', authorized(app.url, github.token), clone)
  await git(clone, 'switch', '--quiet', '--create', branch)
  await writeFile(join(clone, 'sum.js'), 'export const sum = (a, b) => a + b\n')
  await git(clone, 'commit', '--quiet', '--all', '--message', 'Mend the sum')
  return clone
}

const files = { 'sum.js': 'export const sum = (a, b) => a - b\n', 'docs/readme.md': '# Sum\n' }

const open = async (
  github: FakeGitHub,
  options: { private?: boolean; protectMain?: boolean } = {},
) => await github.createRepository({ owner: 'acme', name: 'app', files, ...options })

/** Calls the REST API; the token is the right one unless another, or none (null), is given. */
async function call(
  github: FakeGitHub,
  path: string,
  o: { body?: object; token?: string | null; method?: string } = {},
) {
  const token = o.token === undefined ? github.token : o.token
  const response = await fetch(`${github.apiUrl}${path}`, {
    method: o.method ?? (o.body ? 'POST' : 'GET'),
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    ...(o.body && { body: JSON.stringify(o.body) }),
  })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

test('a public repository is cloned by anybody, and pushed to with the token only', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github)
  const clone = await mkdtemp(join(work, 'clone-'))
  await git(work, 'clone', '--quiet', `${app.url}.git`, clone)
  assert.equal(await readFile(join(clone, 'docs/readme.md'), 'utf8'), '# Sum\n')
  await git(clone, 'switch', '--quiet', '--create', 'agent/fix')
  await writeFile(join(clone, 'sum.js'), 'export const sum = (a, b) => a + b\n')
  await git(clone, 'commit', '--quiet', '--all', '--message', 'Mend the sum')
  await assert.rejects(git(clone, 'push', 'origin', 'agent/fix'), /could not read Username/)
  await assert.rejects(git(clone, 'push', authorized(app.url, 'wrong'), 'agent/fix'), /failed/i)
  assert.deepEqual(await app.branches(), ['main'])

  await git(clone, 'push', '--quiet', authorized(app.url, github.token), 'agent/fix')
  assert.deepEqual(await app.branches(), ['agent/fix', 'main'])
  const commits = await app.commits('agent/fix')
  assert.deepEqual(
    commits.map(({ subject }) => subject),
    ['Mend the sum', 'First commit'],
  )
  const repository = 'acme/app'
  const after = commits[0]?.sha
  const before = '0'.repeat(40)
  assert.deepEqual(github.pushes, [{ repository, ref: 'refs/heads/agent/fix', before, after }])
  assert.match(await app.diff('main', 'agent/fix'), /^\+export const sum = \(a, b\) => a \+ b$/m)
  assert.match((await app.fileAt('main', 'sum.js')) ?? '', /a - b/)
  assert.equal(await app.fileAt('main', 'missing.js'), null)
})

test('a private repository is hidden from everybody without the token', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github, { private: true })
  const clone = join(work, 'private')
  await assert.rejects(git(work, 'clone', app.url, clone), /could not read Username/)
  await assert.rejects(git(work, 'clone', authorized(app.url, 'wrong'), clone), /Authentication/)
  await git(work, 'clone', '--quiet', authorized(app.url, github.token), clone)
  assert.equal((await call(github, '/repos/acme/app', { token: null })).status, 404)
  assert.equal((await call(github, '/repos/acme/app')).status, 200)
})

test('a protected main refuses pushes in GitHub’s words', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github, { protectMain: true })
  const clone = await cloneWithChange(github, app)
  await assert.rejects(git(clone, 'push', 'origin', 'HEAD:main'), /GH006: Protected branch/)
  await git(clone, 'push', '--quiet', 'origin', 'agent/fix')
  assert.deepEqual(
    github.pushes.map((push) => push.ref),
    ['refs/heads/agent/fix'],
  )
})

test('big pushes and compressed requests go through', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github)
  const clone = await cloneWithChange(github, app)
  // Over 1 MiB git sends a push in chunks.
  const bytes = 1_500_000
  await writeFile(join(clone, 'big.bin'), randomBytes(bytes))
  await git(clone, 'add', '--all')
  await git(clone, 'commit', '--quiet', '--message', 'Add something big')
  await git(clone, 'push', '--quiet', 'origin', 'agent/fix')
  // As git compresses a list of commits that is longer than 1 KiB.
  const response = await fetch(`${app.url}.git/git-upload-pack`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-git-upload-pack-request',
      'content-encoding': 'gzip',
      'git-protocol': 'version=2',
    },
    body: gzipSync('0014command=ls-refs\n0000'),
  })
  assert.match(await response.text(), /refs\/heads\/agent\/fix/)
  const again = join(work, 'again')
  await git(work, 'clone', '--quiet', '--branch', 'agent/fix', app.url, again)
  assert.equal((await readFile(join(again, 'big.bin'))).length, bytes)
})

test('a pull request is opened once, and found afterwards', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github)
  const clone = await cloneWithChange(github, app)
  await git(clone, 'push', '--quiet', 'origin', 'agent/fix')
  const list = '/repos/acme/app/pulls?state=open&head=acme:agent/fix&base=main'
  assert.deepEqual(await call(github, list), { status: 200, body: [] })

  const body = { title: 'Mend the sum', head: 'agent/fix', base: 'main', body: 'It was wrong.' }
  const opened = await call(github, '/repos/acme/app/pulls', { body })
  assert.equal(opened.status, 201)
  assert.equal(opened.body.html_url, `${app.url}/pull/1`)
  assert.equal(opened.body.head.sha, (await app.commits('agent/fix'))[0]?.sha)
  assert.equal((await call(github, list)).body[0].number, 1)
  assert.deepEqual((await call(github, '/repos/acme/app/pulls?head=acme:main')).body, [])
  assert.equal((await call(github, '/repos/acme/app/pulls/1')).body.title, 'Mend the sum')
  assert.equal((await call(github, '/repos/acme/app/pulls/2')).status, 404)

  const again = await call(github, '/repos/acme/app/pulls', { body })
  assert.equal(again.status, 422)
  assert.equal(again.body.message, 'Validation Failed')
  const message = 'A pull request already exists for acme:agent/fix.'
  assert.deepEqual(again.body.errors, [{ resource: 'PullRequest', code: 'custom', message }])
  assert.equal(app.pullRequests.length, 1)
  assert.equal(app.pullRequests[0]?.body, 'It was wrong.')
})

test('what GitHub refuses is refused with its status and its words', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github)
  const clone = await cloneWithChange(github, app)
  await git(clone, 'push', '--quiet', 'origin', 'agent/fix', 'main:agent/same')
  const pulls = '/repos/acme/app/pulls'
  const good = { title: 'T', head: 'agent/fix', base: 'main' }
  const cases: [object, RegExp][] = [
    [{ ...good, title: ' ' }, /"field":"title","code":"missing_field"/],
    [{ ...good, body: 'x'.repeat(65_537) }, /body is too long \(maximum is 65536 characters\)/],
    [{ ...good, head: 'agent/none' }, /"field":"head","code":"invalid"/],
    [{ ...good, base: 'none' }, /"field":"base","code":"invalid"/],
    [{ ...good, head: 'agent/same' }, /No commits between main and agent\/same/],
  ]
  for (const [body, expected] of cases) {
    const { status, body: problem } = await call(github, pulls, { body })
    assert.equal(status, 422)
    assert.match(JSON.stringify(problem), expected)
  }
  const status = async (path: string, o: Parameters<typeof call>[2] = {}) =>
    (await call(github, path, o)).status
  assert.equal(await status(pulls, { body: good, token: null }), 401)
  assert.equal(await status(pulls, { body: good, token: 'wrong' }), 401)
  assert.equal(await status('/repos/acme/none/pulls', { body: good }), 404)
  assert.equal(await status('/repos/acme/app/milestones'), 404)
  assert.equal(await status('/user'), 404)
  assert.equal(await status(pulls, { body: { ...good, body: 'x'.repeat(65_536) } }), 201)
})

test('reviews and labels follow the rules of GitHub: one who may not be asked, and nobody is', async () => {
  await using github = await startFakeGitHub()
  const app = await github.createRepository({
    ...{ owner: 'acme', name: 'app', files, collaborators: ['ada', 'bob'], teams: ['core'] },
    ...{ labels: ['Bug'], withoutDrafts: true },
  })
  const clone = await cloneWithChange(github, app)
  await git(clone, 'push', '--quiet', 'origin', 'agent/fix')
  const pulls = '/repos/acme/app/pulls'
  const good = { title: 'T', head: 'agent/fix', base: 'main' }
  const draft = await call(github, pulls, { body: { ...good, draft: true } })
  assert.equal(draft.status, 422)
  assert.match(JSON.stringify(draft.body), /Draft pull requests are not supported/)
  assert.equal((await call(github, pulls, { body: good })).status, 201)

  const reviews = `${pulls}/1/requested_reviewers`
  for (const [body, words] of [
    [{ reviewers: ['ada', 'eve'] }, /only be requested from collaborators/],
    [{ team_reviewers: ['core', 'none'] }, /only be requested from collaborators/],
    [{ reviewers: ['Acme'] }, /cannot be requested from pull request author/],
  ] as const) {
    const refused = await call(github, reviews, { body })
    assert.equal(refused.status, 422)
    assert.match(refused.body.message, words)
  }
  assert.deepEqual(app.pullRequests[0]?.reviewers, [])
  const asked = await call(github, reviews, {
    body: { reviewers: ['ada'], team_reviewers: ['core'] },
  })
  assert.equal(asked.status, 201)
  assert.deepEqual(asked.body.requested_reviewers, [{ login: 'ada' }])
  assert.deepEqual(asked.body.requested_teams, [{ slug: 'core' }])

  const labels = '/repos/acme/app/issues/1/labels'
  const set = await call(github, labels, { body: { labels: ['bug', 'agent'] } })
  assert.deepEqual(set, { status: 200, body: [{ name: 'Bug' }, { name: 'agent' }] })
  assert.deepEqual(app.labels, ['Bug', 'agent'])
  const long = await call(github, labels, { body: { labels: ['x'.repeat(51)] } })
  assert.equal(long.status, 422)
  for (const path of [reviews, labels])
    assert.equal((await call(github, path, { body: {}, token: null })).status, 401)
  const none = await call(github, `${pulls}/9/requested_reviewers`, { body: {} })
  assert.equal(none.status, 404)
})

test('a request can be held, refused, or answered into the void', async () => {
  await using github = await startFakeGitHub()
  const app = await open(github)
  const clone = await cloneWithChange(github, app)
  await git(clone, 'push', '--quiet', 'origin', 'agent/fix')
  const path = '/repos/acme/app/pulls'
  const body = { title: 'T', head: 'agent/fix', base: 'main' }

  github.beforeRequest(() => ({ status: 503, message: 'Not now' }))
  assert.equal((await call(github, path, { body })).status, 503)
  await assert.rejects(git(clone, 'fetch', 'origin'), /503/)

  const { promise: released, resolve: release } = Promise.withResolvers<undefined>()
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
  github.beforeRequest(({ action }) => {
    if (action !== 'create_pull') return undefined
    arrive()
    return released
  })
  const giveUp = new AbortController()
  const { signal } = giveUp
  const headers = { authorization: `Bearer ${github.token}` }
  const held = fetch(github.apiUrl + path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers,
    signal,
  })
  await arrived
  giveUp.abort()
  await assert.rejects(held, { name: 'AbortError' })
  assert.equal((await call(github, path)).status, 200)
  release(undefined)

  github.beforeRequest(({ action }) => (action === 'create_pull' ? 'lose_answer' : undefined))
  await assert.rejects(call(github, path, { body }), { message: 'fetch failed' })
  assert.equal(app.pullRequests.length, 1)

  github.beforeRequest(({ action }) => (action === 'push' ? 'lose_answer' : undefined))
  await assert.rejects(git(clone, 'push', 'origin', 'agent/fix:agent/lost'))
  assert.deepEqual(await app.branches(), ['agent/fix', 'agent/lost', 'main'])
  github.beforeRequest(null)
  const seen = github.requests.filter(({ action }) => action === 'create_pull')
  assert.equal(seen[0]?.authorization, `Bearer ${github.token}`)
})
