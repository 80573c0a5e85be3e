/** What the settings of a repository do to the tasks on it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type FakeRepository, say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([
    script(
      when(
        'Commit and mend',
        use('Bash', { command: 'git commit -q --allow-empty -m own' }),
        use('Bash', { command: mend }),
        say('Mended.'),
      ),
    ),
  ])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

async function settle(repository: FakeRepository, settings: object): Promise<void> {
  const body = JSON.stringify({ url: repository.url, ...settings })
  const answer = await server.request('/v1/repositories', { method: 'POST', body })
  assert.equal(answer.status, 201, await answer.text())
}

async function ended(repository: FakeRepository, instructions: string) {
  const { id } = await server.order({ repoUrl: repository.url, instructions })
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  return { id, task, events }
}

/** Who committed what, newest first. */
async function authors({ directory }: FakeRepository, branch: string): Promise<string[]> {
  const format = '--format=%s: %an <%ae>, %cn <%ce>'
  const { stdout } = await promisify(execFile)('git', ['log', format, `refs/heads/${branch}`], {
    cwd: directory,
  })
  return stdout.trim().split('\n')
}

test('a task opens a draft with reviewers and labels as its repository says, and commits as who it says', async () => {
  const repository = await world.github.createRepository({
    ...{ owner: 'acme', name: 'settled', files: brokenSum },
    ...{ collaborators: ['ada', 'bob'], teams: ['core'] },
  })
  const commit = { name: 'Acme "Bot" (CI)', email: '1+acme[bot]@users.noreply.github.com' }
  const pull_request = {
    ...{ draft: true, labels: ['agent', 'to review'] },
    ...{ reviewers: ['ada', 'stranger', 'bob', 'acme'], team_reviewers: ['core', 'none'] },
  }
  await settle(repository, { commit, pull_request, checks: ['sh test.sh'] })
  const { task, events } = await ended(repository, 'Commit and mend.')
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(task.result?.checks.results[0]?.command, 'sh test.sh')
  const [pull] = repository.pullRequests
  assert.ok(pull)
  assert.deepEqual(
    [pull.draft, pull.reviewers, pull.teamReviewers, pull.labels],
    [true, ['ada', 'bob'], ['core'], ['agent', 'to review']],
  )
  assert.deepEqual(repository.labels, ['agent', 'to review'])
  const who = `${commit.name} <${commit.email}>`
  const made = await authors(repository, pull.head)
  assert.deepEqual(made.slice(0, 2), [`Commit and mend.: ${who}, ${who}`, `own: ${who}, ${who}`])
  assert.match(task.message, /stranger was not asked for a review: .*only be requested from collab/)
  assert.match(task.message, /acme was not asked for a review: .*from pull request author/)
  assert.match(task.message, /The team none was not asked for a review/)
  const updated = events.find(({ type }) => type === 'task.pull_request_options_set')
  const refused: unknown[] = Array.isArray(updated?.['refused']) ? updated['refused'] : []
  assert.deepEqual(
    refused.map((one) => Reflect.get(Object(one), 'name')),
    ['stranger', 'acme', 'none'],
  )
})

test('a server killed before the labels are set sets them, and opens no second pull request', async () => {
  const repository = await world.repository('killed', brokenSum)
  await settle(repository, { pull_request: { draft: true, labels: ['agent'] } })
  const asked = Promise.withResolvers<void>()
  world.github.beforeRequest(({ action }) => {
    if (action !== 'add_labels') return undefined
    asked.resolve()
    return Promise.withResolvers<never>().promise
  })
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Commit and mend.' })
  await asked.promise
  await server.kill()
  world.github.beforeRequest(null)
  server = await world.start()
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const [pull, ...more] = repository.pullRequests
  assert.deepEqual([pull?.draft, pull?.labels, more], [true, ['agent'], []])
  const events = await server.events(id)
  assertWholeLog(events)
  const opened = events.filter(({ type }) => type === 'task.pull_request_opened')
  assert.equal(opened.length, 1)
})

test('a GitHub that takes no drafts and fails at labels costs nothing but a sentence', async () => {
  const repository = await world.github.createRepository({
    ...{ owner: 'acme', name: 'plain', files: brokenSum, withoutDrafts: true },
  })
  await settle(repository, { pull_request: { draft: true, labels: ['agent'] } })
  world.github.beforeRequest(({ action }) =>
    action === 'add_labels' ? { status: 403, message: 'Resource not accessible' } : undefined,
  )
  const { task } = await ended(repository, 'Commit and mend.')
  world.github.beforeRequest(null)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(repository.pullRequests[0]?.draft, false)
  assert.match(task.message, /It is no draft: .* The label "agent" was not set: .*not accessible/)
})
