import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { ask, storeIn } from '../support/postgres.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, mend, type World } from '../support/world.ts'

/** What the agent does, in the shell, for an order that names it. */
const agents = {
  'Nest a repository': `${mend}; git init -q sub; echo 1 > sub/file`,
  'Close the repository': `${mend}; find .git -type d -exec chmod u-w {} +`,
  'Remove the repository': `${mend}; rm -rf .git`,
  'Use a branch': `git switch -qc mended; ${mend}; git commit -qam Mended; git switch -q main`,
  'Use a stash': `${mend}; git stash -q`,
  'Mend and wait': `${mend}; touch .git/blocked; sleep 300`,
} as const
const scenario = script(
  ...Object.entries(agents).map(([order, command]) =>
    when(order, use('Bash', { command }), say('Mended.')),
  ),
)

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start()
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

async function order(instructions: keyof typeof agents, more: object = {}) {
  const ordered = await world.order(server, { instructions, ...more })
  return { ...ordered, workspace: join(ordered.directory, 'workspace') }
}

/** Where a person finds it: the image of the session's disk, where it has one. */
function leftIn(workspace: string): string {
  const image = join(workspace, '../disk.img')
  return existsSync(image) ? image : workspace
}

function leftFile(workspace: string, name: string): string {
  const place = leftIn(workspace)
  if (place === workspace) return readFileSync(join(workspace, name), 'utf8')
  const env = { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
  return execFileSync('debugfs', ['-R', `cat /workspace/${name}`, place], {
    ...{ env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  })
}

async function ended(id: string) {
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  return { task, events, message: task.message ?? '' }
}

test('a repository that the agent made inside is published with its files', async () => {
  const { id, repository } = await order('Nest a repository')
  const { task } = await ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'sub/file'), '1\n')
})

test('work that git cannot commit ends the task at once, and is kept as a patch', async () => {
  const { id, repository } = await order('Close the repository')
  const { task, message } = await ended(id)
  assert.equal(task.reason, 'agent_error')
  assert.match(message, /^The work could not be committed: git add failed: .*work\.patch\.$/)
  assert.match(await server.artifact(id, 'work.patch'), /^\+echo \$\(\( \$1 \+ \$2 \)\)$/m)
  assert.deepEqual(await repository.branches(), ['main'])
})

test('work that cannot be kept stays in its workspace, and the task says where', async () => {
  const { id, workspace } = await order('Remove the repository')
  const { task, message, events } = await ended(id)
  assert.equal(task.reason, 'agent_error')
  assert.ok(
    message.endsWith(`could not be kept; it is still in ${leftIn(workspace)} on the server.`),
  )
  const left = events.find(({ type }) => type === 'workspace.left')
  assert.equal(left?.['directory'], leftIn(workspace))
  // The sweep after another task, and that of the next start, leave it.
  const next = await order('Nest a repository')
  assert.equal((await ended(next.id)).task.reason, 'done')
  await until('the other one to be gone', () => !existsSync(next.workspace))
  await server.stop()
  server = await world.start()
  assert.equal(leftFile(workspace, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
})

test('work on a branch that the agent left again is checked and published', async () => {
  const { id, repository } = await order('Use a branch')
  const { task, events } = await ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(task.result?.checks.outcome, 'passed')
  const taken = events.find(({ type }) => type === 'workspace.branch_taken')
  assert.equal(taken?.['branch'], 'mended')
  const mended = await repository.fileAt(task.result?.branch ?? '', 'sum.sh')
  assert.equal(mended, 'echo $(( $1 + $2 ))\n')
})

test('a stash that the agent forgot is no change, but a bundle, and the task says so', async () => {
  const { id } = await order('Use a stash')
  const { task, message } = await ended(id)
  assert.equal(task.reason, 'no_changes', JSON.stringify(task.error))
  assert.match(message, /without changing anything\. .* the artifact other-work\.bundle\.$/)
  assert.match(await server.artifact(id, 'other-work.bundle'), /^# v2 git bundle\n/)
})

test('a server killed while it keeps the work goes on with that alone, and the first reason stays', async () => {
  const { id, repository, marked } = await order('Mend and wait', { timeLimitMinutes: 60 })
  await marked('blocked')
  const pushing = Promise.withResolvers<void>()
  world.github.beforeRequest(({ action }) => {
    if (action !== 'push') return undefined
    pushing.resolve()
    return Promise.withResolvers<never>().promise
  })
  // Out of time first, while no server was there; cancelled later.
  await server.kill()
  await change("update tasks set started_at = started_at - interval '1 hour' where id = $1", [id])
  server = await world.start()
  await pushing.promise
  await server.cancel(id)
  await server.kill()
  world.github.beforeRequest(null)
  const asked = world.model.requests.length
  server = await world.start()
  const { task, events, message } = await ended(id)
  assert.equal(task.reason, 'timed_out')
  assert.match(message, /The work so far is on the branch agent\/.*-wip\.$/)
  assert.equal(world.model.requests.length, asked)
  assert.equal(
    await repository.fileAt(task.result?.branch ?? '', 'sum.sh'),
    'echo $(( $1 + $2 ))\n',
  )
  assert.equal(events.filter(({ type }) => type === 'task.ending').length, 1)
})

test('a task that ends without its walls, since every attempt died, leaves its workspace', async () => {
  const { id, workspace, marked } = await order('Mend and wait')
  await marked('blocked')
  await server.kill()
  await change('update tasks set progress = progress || $1 where id = $2', [
    { strikes: 6, struck: 2 },
    id,
  ])
  server = await world.start()
  const { task, message } = await ended(id)
  assert.equal(task.reason, 'attempts_exhausted')
  assert.ok(
    message.endsWith(`could not be kept; it is still in ${leftIn(workspace)} on the server.`),
  )
  assert.match(leftFile(workspace, 'sum.sh'), /^echo/)
})

/** Changes the store behind the back of the server that was there. */
function change(statement: string, values: readonly unknown[]): Promise<object> {
  return ask(storeIn(world.dataDir), statement, values)
}
