/** Deploys, plain git remotes, and remotes that refuse. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type FakeGitHub, say, script, startFakeGitHub, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const scenario = script(
  when(
    'Release version two',
    use('Read', { file_path: 'version.txt' }),
    use('Edit', { file_path: 'version.txt', old_string: 'one', new_string: 'two' }),
    say('The version is two now.'),
  ),
  when('Say how to release', say('I would run `sh deploy.sh production`.')),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

let world: World
let server: ServerProcess
let plain: FakeGitHub
before(async () => {
  world = await makeWorld([scenario])
  plain = await startFakeGitHub()
  server = await world.start({
    GATEWAY_ALLOW_PRIVATE: new URL(plain.url).host,
  })
})
after(async () => {
  await plain.close()
  await world[Symbol.asyncDispose]()
})

async function run(order: object) {
  const { id } = await server.order({ type: 'refactor', priority: 'medium', ...order })
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  return { task, events }
}

test('a deploy runs exactly the commands of its order, in their order, after the agent and the checks', async () => {
  const repository = await world.repository('deploy', {
    'version.txt': 'one\n',
    'check.sh': 'grep two version.txt\n',
  })
  const commands = ['cat version.txt > .git/deployed', 'grep two .git/deployed && echo shipped']
  const { task, events } = await run({
    type: 'deploy',
    repoUrl: repository.url,
    instructions: 'Release version two.',
    checks: ['sh check.sh'],
    commands,
  })
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const ran = events.filter(({ type }) => type === 'task.command_finished')
  assert.deepEqual(
    ran.map((event) => Reflect.get(Object(event['result']), 'command')),
    commands,
  )
  assert.match(JSON.stringify(ran), /shipped/)
  assert.match(task.result?.summary ?? '', /The version is two now\.[\s\S]*grep two .*: passed/)
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'version.txt'), 'two\n')
  const tools = events.filter(({ type }) => type === 'agent.tool_use').map((event) => event['name'])
  assert.deepEqual(tools, ['Read', 'Edit'])
})

test('a deploy without commands runs nothing, and says what it would run', async () => {
  const repository = await world.repository('dry', { 'deploy.sh': 'exit 1\n' })
  const { task, events } = await run({
    type: 'deploy',
    repoUrl: repository.url,
    instructions: 'Say how to release.',
  })
  assert.equal(task.status, 'completed')
  assert.match(task.result?.summary ?? '', /I would run/)
  assert.ok(!events.some(({ type }) => type === 'task.command_started'))
})

test('a deploy command that fails stops the ones after it, and the task says which', async () => {
  const repository = await world.repository('stuck', { 'version.txt': 'one\n' })
  const { task, events } = await run({
    type: 'deploy',
    repoUrl: repository.url,
    instructions: 'Release version two.',
    commands: ['exit 4', 'echo never'],
  })
  assert.equal(task.reason, 'checks_failed')
  assert.match(
    task.error?.message ?? '',
    /"exit 4" exited with 4; the commands after it were not run/,
  )
  assert.equal(events.filter(({ type }) => type === 'task.command_started').length, 1)
})

test('a plain git remote ends at the pushed branch, and the task says so', async () => {
  const repository = await plain.createRepository({
    owner: 'team',
    name: 'sum',
    files: brokenSum,
    openPush: true,
  })
  const { task } = await run({ repoUrl: `${repository.url}.git`, instructions: 'Mend.' })
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.match(task.message, /plain git remote here, so no pull request was opened/)
  assert.equal(task.result?.pull_request_url, null)
  assert.deepEqual((await repository.branches()).sort(), [task.result?.branch ?? '', 'main'].sort())
  assert.ok(plain.requests.every(({ authorization }) => authorization === null))
})

test('a remote that refuses the push ends the task as rejected, and the work is a patch', async () => {
  const repository = await plain.createRepository({
    owner: 'team',
    name: 'closed',
    files: brokenSum,
  })
  const { task } = await run({ repoUrl: repository.url, instructions: 'Mend.' })
  assert.equal(task.reason, 'push_rejected')
  assert.match(task.error?.message ?? '', /The work so far is the artifact work\.patch\./)
  assert.match(await server.artifact(task.id, 'work.patch'), /^\+echo \$\(\( \$1 \+ \$2 \)\)$/m)
})

test('a pull request that GitHub refuses ends the task as such, with the branch in place', async () => {
  const repository = await world.repository('refused', brokenSum)
  world.github.beforeRequest(({ action }) =>
    action === 'create_pull' ? { status: 403, message: 'Resource not accessible.' } : undefined,
  )
  const { task } = await run({ repoUrl: repository.url, instructions: 'Mend.' })
  world.github.beforeRequest(null)
  assert.equal(task.reason, 'pull_request_rejected')
  assert.ok((await repository.branches()).includes(task.result?.branch ?? ''))
})
