/** What people and CI systems say on the fake GitHub, by the rules of the real one. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '../src/index.ts'

let github: FakeGitHub
let app: FakeRepository
before(async () => {
  github = await startFakeGitHub()
  app = await github.createRepository({ owner: 'acme', name: 'app', files: { 'a.txt': 'a\n' } })
  app.talk.open({ title: 'First', labels: ['bug'] })
  app.talk.open({ title: 'Locked', locked: true })
})
after(() => github.close())

async function ask(path: string, o: { body?: object; anonymous?: boolean } = {}) {
  const response = await fetch(`${github.apiUrl}/repos/acme/app${path}`, {
    method: o.body ? 'POST' : 'GET',
    headers: o.anonymous ? {} : { authorization: `Bearer ${github.token}` },
    ...(o.body && { body: JSON.stringify(o.body) }),
  })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

const comment = (number: number, body: unknown) =>
  ask(`/issues/${number}/comments`, { body: { body } })

test('issues and pull requests share their numbers, and a list of issues has both', async () => {
  const head = await ask('/pulls', { body: { title: 'P', head: 'main', base: 'main' } })
  assert.equal(head.status, 422, 'nothing to merge takes no number')
  const { body } = await ask('/issues?state=all')
  assert.deepEqual(
    body.map(({ number, title }: { number: number; title: string }) => `#${number} ${title}`),
    ['#2 Locked', '#1 First'],
  )
})

test('comments need a token, a text within bounds, and an issue that is there and not locked', async () => {
  assert.equal(
    (await ask('/issues/1/comments', { body: { body: 'x' }, anonymous: true })).status,
    401,
  )
  assert.equal((await comment(1, '  ')).status, 422)
  assert.equal((await comment(1, undefined)).status, 422)
  const long = await comment(1, 'x'.repeat(65_537))
  assert.match(long.body.errors[0].message, /too long \(maximum is 65536/)
  assert.equal((await comment(9, 'x')).status, 404)
  const locked = await comment(2, 'x')
  assert.deepEqual(
    [locked.status, locked.body.message],
    [403, 'Unable to create comment because issue is locked.'],
  )
  const made = await comment(1, 'Fine.')
  assert.deepEqual([made.status, made.body.user.login], [201, 'acme'])
  assert.equal((await ask('/issues/1')).body.comments, 1)
  assert.deepEqual(
    app.talk.comments.map(({ body }) => body),
    ['Fine.'],
  )
})

test('checks are asked for by a branch or a commit, and another ref is refused', async () => {
  const sha = (await app.commits('main'))[0]?.sha ?? ''
  app.talk.check({ kind: 'check', sha, name: 'build', conclusion: null, summary: '' })
  app.talk.check({ kind: 'check', sha, name: 'build', conclusion: 'success', summary: '' })
  for (const ref of ['main', sha]) {
    const { body } = await ask(`/commits/${ref}/check-runs`)
    assert.deepEqual([body.total_count, body.check_runs[0].conclusion], [1, 'success'])
    assert.equal((await ask(`/commits/${ref}/status`)).body.total_count, 0)
  }
  const none = await ask('/commits/agent%2Fnone/check-runs')
  assert.deepEqual([none.status, none.body.message], [422, 'No commit found for SHA: agent/none'])
})
