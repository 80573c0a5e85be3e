/** Changes of what a git host runs by itself leave only where the repository's settings say so. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type FakeRepository, say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const workflow = '.github/workflows/ci.yml'
const files = { ...brokenSum, [workflow]: 'on: push\n' }

/** Takes the work out by itself, after it made git believe that nothing was changed. */
const smuggle = [
  `${mend}; echo 'on: pull_request_target' > ${workflow}; git commit -qam sly`,
  'file() { id=$(git rev-parse "$1"); echo ".git/objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)"; }',
  'mv .git/objects/pack .git/old; for p in .git/old/*.pack; do git unpack-objects -q < $p; done',
  'root=$(file HEAD^{tree}); cp $root /tmp/root; cp -f $(file HEAD~1^{tree}) $root',
  'test "$(git rev-parse HEAD:.github)" = "$(git rev-parse HEAD~1:.github)" && echo fooled',
  'git push origin HEAD 2>&1; git push origin HEAD:refs/heads/$(git branch --show-current)-wip 2>&1',
  'cp -f /tmp/root $root; git push origin HEAD 2>&1',
].join('\n')
const edit = `${mend}; echo 'on: pull_request_target' > ${workflow}`
const merge =
  'git fetch -q origin main && git merge -q --no-edit FETCH_HEAD && git push -q origin HEAD'

let world: World
let server: ServerProcess
let advance: () => Promise<unknown> = async () => {}
before(async () => {
  world = await makeWorld([
    script(
      when('may not be pushed', (conversation) =>
        conversation.history.some((entry) => entry.kind === 'user' && entry.text.includes('Insist'))
          ? say('I insist.')
          : use('Bash', { command: `git checkout -q origin/main -- ${workflow}` }),
      ),
      when('Insist', use('Bash', { command: smuggle }), say('Mended.')),
      when('Edit', use('Bash', { command: edit }), say('Mended.')),
      when(
        'Merge',
        use('Bash', { command: `${mend}; git commit -qam Mended` }),
        use('Bash', { command: merge }, { until: () => advance() }),
        say('Merged.'),
      ),
    ),
  ])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

async function run(name: string, instructions: string, settings?: object) {
  const repository = await world.repository(name, files)
  advance = () => commitOnMain(repository)
  if (settings !== undefined) {
    const body = JSON.stringify({ url: repository.url, ...settings })
    await server.request('/v1/repositories', { method: 'POST', body })
  }
  const { id } = await server.order({ repoUrl: repository.url, instructions })
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  return { repository, id, task, events }
}

/** Somebody else changes the workflow on the base branch meanwhile. */
async function commitOnMain({ directory }: FakeRepository): Promise<void> {
  const clone = await mkdtemp(join(tmpdir(), 'lh-clone-'))
  const change = `git clone -q "$1" . && echo 'on: [push, tag]' > ${workflow} &&
    git -c user.name=Ada -c user.email=ada@example.com commit -qam tags && git push -q origin main`
  await promisify(execFile)('sh', ['-c', change, 'sh', directory], { cwd: clone })
  await rm(clone, { recursive: true, force: true })
}

test('an agent that changes a workflow file cannot push it, is told, and its work is kept as a patch', async () => {
  const { repository, id, task, events } = await run('insist', 'Insist on it.')
  const [said = ''] = await server.toolResults(id)
  assert.match(said, /^fooled$/m)
  // The agent's own pushes: the branch, the one for unfinished work, and after it repaired its lie.
  assert.equal(said.match(/remote rejected.*cannot be read from the workspace/g)?.length, 2, said)
  assert.match(said, /remote rejected.*changes \.github\/workflows, which the settings/)
  assert.deepEqual(await repository.branches(), ['main'])
  assert.equal(task.reason, 'push_rejected')
  assert.match(
    task.error?.message ?? '',
    /changes \.github\/workflows, which.* artifact work\.patch\.$/,
  )
  const rounds = events.filter(({ type }) => type === 'task.push_refused')
  assert.deepEqual(
    rounds.map(({ round }) => round),
    [1, 2, 3, 4],
  )
  const told = events.filter(({ type }) => type === 'system.message')
  assert.match(
    JSON.stringify(told[0]),
    /may not be pushed: .*Bring \.github\/workflows back to how/,
  )
  assert.match(await server.artifact(id, 'work.patch'), /^\+on: pull_request_target$/m)
})

test('an agent that undoes the change when it is told is published', async () => {
  const { repository, task, events } = await run('undo', 'Edit it.')
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, workflow), 'on: push\n')
  assert.equal(await repository.fileAt(branch, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
  assert.equal(events.filter(({ type }) => type === 'task.push_refused').length, 1)
})

test('a repository that allows it takes changes of workflows', async () => {
  const allowed = { allow_workflow_changes: true }
  const { repository, task } = await run('allowed', 'Edit it.', allowed)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(task.allow_workflow_changes, true)
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, workflow), 'on: pull_request_target\n')
})

test('what came in from the base branch is no change of the task', async () => {
  const { repository, task, events } = await run('merged', 'Merge main.')
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(await repository.fileAt(task.result?.branch ?? '', workflow), 'on: [push, tag]\n')
  assert.ok(!events.some(({ type }) => type === 'task.push_refused'))
})
