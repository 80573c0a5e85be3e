/** Which branch the work starts from, and what a repository cannot be worked on for. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type FakeRepository, say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const scenario = script(when('Mend', use('Bash', { command: mend }), say('Mended.')))

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

/** A repository to which git has done something more. */
async function repository(name: string, ...args: readonly string[]): Promise<FakeRepository> {
  const made = await world.repository(name, brokenSum)
  await promisify(execFile)('git', ['-C', made.directory, ...args])
  return made
}

async function run(order: object) {
  const { id } = await server.order({
    ...{ type: 'refactor', priority: 'medium', instructions: 'Mend.' },
    ...order,
  })
  return server.ended(id)
}

test('a tag named like the base branch changes nothing', async () => {
  const { url, pullRequests } = await repository('tagged', 'tag', 'main')
  const task = await run({ repoUrl: url, baseBranch: 'main' })
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(pullRequests[0]?.base, 'main')
  const events = await server.events(task.id)
  const cloned = events.find(({ type }) => type === 'workspace.cloned')
  assert.equal(cloned?.['base_branch'], 'main')
})

for (const baseBranch of ['v1', 'nowhere']) {
  test(`a base that is no branch ends the task with a sentence: ${baseBranch}`, async () => {
    const { url } = await repository(`base-${baseBranch}`, 'tag', 'v1')
    const task = await run({ repoUrl: url, baseBranch })
    assert.equal(task.reason, 'repository_unreachable')
    const { message = '' } = task.error ?? {}
    assert.ok(
      message.endsWith(`could not be cloned: ${baseBranch} is not a branch of ${url}.`),
      message,
    )
  })
}

test('a repository with a branch named agent is refused before any work is done', async () => {
  const { url } = await repository('agent', 'branch', 'agent')
  const task = await run({ repoUrl: url })
  assert.equal(task.reason, 'repository_unreachable')
  assert.match(
    task.error?.message ?? '',
    /its branch agent has to be renamed first, since git holds no agent\/refactor-/,
  )
})

test('a repository without a default branch asks for one', async () => {
  const { url } = await repository('headless', 'symbolic-ref', 'HEAD', 'refs/heads/gone')
  const task = await run({ repoUrl: url })
  assert.match(
    task.error?.message ?? '',
    /no default branch with a commit; name a branch as baseBranch\./,
  )
})
