/** A task that ended goes on with a message: same conversation, branch and pull request. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import type { Task } from '@longhaul/client/contract'
import { type FakeRepository, type Scenario, say, script, use, when } from '@longhaul/testing'
import { uuidOf } from '../../src/ids.ts'
import { orderOn } from '../support/ordered.ts'
import { block } from '../support/phases.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  mend,
  secrets,
  type World,
} from '../support/world.ts'

const write = (name: string) => use('Bash', { command: `echo ${name} > ${name}.txt` })
const scenario = script(
  when('Also write the docs', write('docs'), say('Docs written.')),
  when('Also write a test', write('more'), say('Test written.')),
  when('Explain it', say('It added where it should have subtracted.')),
  when('Look closer', say('# A second report')),
  when('Go on', use('Bash', { command: 'cat sum.sh; git status --short' }), say('Gone on.')),
  when('Block', use('Bash', { command: `${mend}; ${block('tool')}` }), say('Mended.')),
  when('Report', say('# A report')),
  when(
    'Write a token',
    use('Bash', { command: `echo 'token = ${secrets.github}' > token.txt` }),
    say('Written.'),
  ),
  when('Use the token', use('Bash', { command: 'cat token.txt' }), say('It is gone.')),
  when('Change its end', use('Bash', { command: 'sed -i s/end/END/ token.txt' }), say('Changed.')),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)
/** What each conversation was told, as its last request has it. */
const told = new Map<string, readonly string[]>()
const listening: Scenario = (conversation) => {
  told.set(conversation.key, conversation.userTexts)
  return scenario(conversation)
}

let world: World
let receiver: Receiver
let server: ServerProcess
let made = 0
before(async () => {
  world = await makeWorld([listening])
  receiver = await openReceiver()
  server = await world.start({ CALLBACK_ALLOW: `127.0.0.1:${receiver.port}` })
})
after(async () => {
  await receiver[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

/** A task that has ended, and what it left on this node is gone. */
async function endedTask(instructions: string, more: object = {}, files = {}) {
  made += 1
  const repository = await world.repository(`again-${made}`, { ...brokenSum, ...files })
  const path = `/${made}`
  const order = { instructions, callbackUrl: `http://127.0.0.1:${receiver.port}${path}`, ...more }
  const ordered = await orderOn(repository, { server, dataDir: world.dataDir, order })
  return { ...ordered, path, task: () => swept(ordered.id, ordered.directory) }
}

async function swept(id: string, directory: string): Promise<Task> {
  const task = await server.ended(id)
  await until('the workspace to be gone', () => !existsSync(directory))
  return task
}

/** Says it to the ended task, and waits for its next end, the one of that number. */
async function followUp(id: string, text: string, end = 2) {
  const sent = await server.say(id, { text })
  assert.equal(sent.reopened, true)
  const task = await server.ended(id)
  const rows = await server.rows(id)
  assertWholeLog(rows, end)
  assert.equal(rows.filter(({ type }) => type === 'task.reopened').length, end - 1)
  assert.deepEqual(world.model.violations, [])
  return { task, rows }
}

/** A commit that a reviewer adds to the branch, on the host. */
async function review({ directory }: FakeRepository, branch: string): Promise<void> {
  const git = async (...args: string[]) =>
    (await promisify(execFile)('git', ['-C', directory, ...args], { env: reviewer })).stdout.trim()
  const ref = `refs/heads/${branch}`
  const commit = await git('commit-tree', `${ref}^{tree}`, '-p', ref, '-m', 'Reviewed')
  await git('update-ref', ref, commit)
}

const reviewer = {
  PATH: process.env['PATH'],
  ...{ GIT_AUTHOR_NAME: 'R', GIT_AUTHOR_EMAIL: 'r@example.com' },
  ...{ GIT_COMMITTER_NAME: 'R', GIT_COMMITTER_EMAIL: 'r@example.com' },
}

test('a follow-up goes on in the same conversation, and updates the same pull request', async () => {
  const { id, repository, task, path } = await endedTask('Mend')
  const first = await task()
  const branch = first.result?.branch ?? ''
  await review(repository, branch)

  const second = await followUp(id, 'Also write the docs')
  assert.equal(second.task.reason, 'done', JSON.stringify(second.task.error))
  assert.equal(second.task.session_id, first.session_id)
  assert.equal(second.task.result?.summary, 'Docs written.')
  assert.equal(second.task.result?.branch, branch)
  assert.equal(second.task.result?.pull_request_url, first.result?.pull_request_url)
  assert.equal(repository.pullRequests.length, 1)
  assert.deepEqual(
    (await repository.commits(branch)).map(({ subject }) => subject),
    ['Also write the docs', 'Reviewed', 'Mend', 'First commit'],
  )
  assert.equal(await repository.fileAt(branch, 'docs.txt'), 'docs\n')
  assert.equal(await repository.fileAt(branch, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
  assert.equal(second.task.result?.checks.rounds, 1)
  assert.ok((second.task.result?.cost_usd ?? 0) > (first.result?.cost_usd ?? 0))
  const texts = (told.get(uuidOf(first.session_id)) ?? []).join('\n')
  assert.match(
    texts,
    /^Mend\n[\s\S]*You had finished[\s\S]*as the git host has it now[\s\S]*Also write the docs$/,
  )
  const types = second.rows.map(({ type }) => type)
  assert.ok(types.includes('task.pull_request_updated'))

  // A question changes nothing: nothing is checked, pushed or opened.
  const pushes = world.github.pushes.length
  const third = await followUp(id, 'Explain it', 3)
  assert.equal(third.task.reason, 'no_changes', JSON.stringify(third.task.error))
  assert.match(third.task.result?.summary ?? '', /should have subtracted/)
  assert.equal(third.task.result?.pull_request_url, first.result?.pull_request_url)
  assert.equal(world.github.pushes.length, pushes)

  const calls = () => receiver.received.filter((each) => each.path === path)
  await until('the callbacks', () => calls().length === 3)
  const ids = calls().map(({ headers }) => headers['webhook-id'])
  const name = id.replace('task_', 'dlv_')
  assert.deepEqual(ids, [name, `${name}_2`, `${name}_3`])
})

test('after a merge the branch starts anew from the base, and after a closing it goes on; both in a new pull request', async () => {
  const { id, repository, task } = await endedTask('Mend')
  const branch = (await task()).result?.branch ?? ''
  await repository.endPullRequest(1, 'merge')

  const merged = await followUp(id, 'Also write the docs')
  assert.equal(merged.task.reason, 'done', JSON.stringify(merged.task.error))
  assert.match(merged.task.message, /new pull request, since .*\/pull\/1 was merged or closed\./)
  assert.equal(merged.task.result?.pull_request_url, repository.pullRequests[1]?.url)
  assert.deepEqual(
    merged.task.result?.commits.map(({ subject }) => subject),
    ['Also write the docs'],
  )
  assert.match(await repository.diff('main', branch), /docs\.txt/)
  assert.doesNotMatch(await repository.diff('main', branch), /sum\.sh/)

  await repository.endPullRequest(2, 'close')
  const closed = await followUp(id, 'Also write a test', 3)
  assert.equal(closed.task.result?.pull_request_url, repository.pullRequests[2]?.url)
  assert.match(await repository.diff('main', branch), /docs\.txt[\s\S]*more\.txt/)
  assert.equal(repository.pullRequests.length, 3)
})

test('a task that was cut off goes on from the branch that keeps its work', async () => {
  const { id, repository, marked, task } = await endedTask('Block')
  await marked('tool')
  await server.say(id, { text: 'Explain it', mode: 'queue' })
  await server.cancel(id)
  const cancelled = await task()
  assert.match(cancelled.message, /agent\/.*-wip\. 1 message was not read; a follow-up begins with/)

  const { task: done } = await followUp(id, 'Go on')
  assert.equal(done.reason, 'done', JSON.stringify(done.error))
  assert.equal(done.cancel_requested_at, null)
  const branch = done.result?.branch ?? ''
  assert.doesNotMatch(branch, /-wip$/)
  assert.equal(await repository.fileAt(branch, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
  assert.equal(repository.pullRequests.length, 1)
  const texts = (told.get(uuidOf(done.session_id)) ?? []).join('\n')
  assert.match(texts, /You had finished[\s\S]*Go on[\s\S]*Explain it/)
})

/** A task whose work nobody may push, so that it is kept as a patch; later pushes are allowed. */
async function patchedTask(...given: Parameters<typeof endedTask>) {
  world.github.beforeRequest(({ action }) =>
    action === 'push_refs' ? { status: 403, message: 'no' } : undefined,
  )
  const made = await endedTask(...given)
  const task = await made.task()
  assert.equal(task.reason, 'push_rejected')
  assert.deepEqual(await made.repository.branches(), ['main'])
  world.github.beforeRequest(null)
  return { ...made, task }
}

test('a task whose push was refused goes on from its patch', async () => {
  const { id, repository } = await patchedTask('Mend')

  const { task: done } = await followUp(id, 'Go on')
  assert.equal(done.reason, 'done', JSON.stringify(done.error))
  assert.equal(
    await repository.fileAt(done.result?.branch ?? '', 'sum.sh'),
    'echo $(( $1 + $2 ))\n',
  )
  assert.match((await server.toolResults(id)).at(-1) ?? '', /\+[\s\S]*M {2}sum\.sh/)
})

/** What a patch says in place of a secret, and who is told so. */
const removed =
  /work\.patch, in which \[secret\] stands for each secret of the server that was in it/

test('work that is kept without its secrets goes on without them, and all are told', async () => {
  const { id, task } = await patchedTask('Write a token', { checks: [] })
  assert.match(task.message, removed)
  assert.match(await server.artifact(id, 'work.patch'), /^\+token = \[secret\]$/m)
  const { task: done, rows } = await followUp(id, 'Use the token')
  assert.equal(done.reason, 'done', JSON.stringify(done.error))
  assert.equal((await server.toolResults(id)).at(-1), 'token = [secret]')
  const texts = (told.get(uuidOf(done.session_id)) ?? []).join('\n')
  assert.match(texts, /kept without the secrets of the server .* it says \[secret\] now/)
  const tell = rows.filter((event) => event['secrets_removed'] === true).map(({ type }) => type)
  assert.deepEqual(tell, ['workspace.kept', 'workspace.cloned'])
})

test('work that does not fit without the secrets of its repository ends with what can be done', async () => {
  const files = { 'token.txt': `begin\ntoken = ${secrets.github}\nend\n` }
  const { id, repository } = await patchedTask('Change its end', { checks: [] }, files)
  const { task } = await followUp(id, 'Go on')
  assert.equal(task.status, 'failed')
  assert.match(task.error?.message ?? '', removed)
  assert.match(task.error?.message ?? '', /Put the secrets back by hand and apply it/)
  assert.deepEqual(await repository.branches(), ['main'])
  assert.match(await server.artifact(id, 'work.patch'), /^ token = \[secret\]\n-end\n\+END$/m)
})

test('an analysis answers a follow-up with a new report', async () => {
  const { id, task } = await endedTask('Report', { type: 'analysis' })
  assert.equal((await task()).result?.summary, '# A report')
  const { task: again } = await followUp(id, 'Look closer')
  assert.equal(again.reason, 'report', JSON.stringify(again.error))
  assert.equal(await server.artifact(id, 'report.md'), '# A second report')
})

test('a server killed in a follow-up goes on with it once', async () => {
  const { id, repository, marked, task } = await endedTask('Mend')
  await task()
  await server.say(id, { text: 'Block' })
  await marked('tool')
  await server.kill()
  server = await world.start({ CALLBACK_ALLOW: `127.0.0.1:${receiver.port}` })
  const done = await server.ended(id)
  assert.equal(done.status, 'completed', JSON.stringify(done.error))
  assertWholeLog(await server.rows(id), 2)
  const texts = told.get(uuidOf(done.session_id)) ?? []
  assert.equal(texts.filter((text) => text === 'Block').length, 1)
  assert.equal(repository.pullRequests.length, 1)
})
