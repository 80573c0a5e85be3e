/** `kill -9` of the server in each phase of an attempt, and a new server on the same directory. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type FakeRepository, say, script, use, when } from '@longhaul/testing'
import pg from 'pg'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  mend,
  sandboxProcessesOf,
  type World,
} from '../support/world.ts'

/** Blocks the first time, in a place of the clone that no commit carries; then does nothing. */
const blockOnce = (name: string): string =>
  `test -e .git/${name} || { touch .git/${name}; sleep 300; }`

const blockedTool = blockOnce('tool')
const held = Promise.withResolvers<never>().promise
/** Whoever asks first is never answered: it is killed while it waits. */
let thought = false
const thinkOnce = (): Promise<void> => {
  if (thought) return Promise.resolve()
  thought = true
  return held
}
const scenarios = [
  script(
    when(
      'Mend and wait',
      use('Bash', { command: mend }),
      use('Bash', { command: blockedTool }),
      use('Bash', { command: 'npm test' }),
      say('Mended.'),
    ),
    when(
      'Think for long',
      use('Bash', { command: mend }),
      say('Mended.', { until: () => thinkOnce() }),
    ),
    when('Mend the sum', use('Bash', { command: mend }), say('Mended.')),
  ),
]

let world: World
let repositories = 0
before(async () => {
  world = await makeWorld(scenarios)
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

interface Case {
  readonly phase: string
  readonly instructions?: string
  readonly order?: object
  /** Resolves once the task is in the phase, mid-way. */
  readonly reached: (o: {
    server: ServerProcess
    id: string
    workspace: string
  }) => Promise<unknown>
}

/** Holds GitHub's answer to the first such request; resolves when it came. */
function holdGitHub(action: string): Promise<void> {
  const came = Promise.withResolvers<void>()
  world.github.beforeRequest((request) => {
    if (request.action !== action) return undefined
    came.resolve()
    return held
  })
  return came.promise
}

const blocked = (name: string) => (o: { workspace: string }) =>
  until(`${name} to block`, () => existsSync(join(o.workspace, '.git', name)), 60_000)

const cases: readonly Case[] = [
  { phase: 'the clone', reached: () => holdGitHub('fetch') },
  { phase: 'set-up', order: { setup: [blockOnce('setup')] }, reached: blocked('setup') },
  {
    phase: 'a tool of the agent',
    instructions: 'Mend and wait.',
    reached: async (o) => {
      await blocked('tool')(o)
      await stored('sleep 300')
    },
  },
  {
    phase: 'a model request',
    instructions: 'Think for long.',
    reached: () =>
      world.model.waitFor(
        ({ turn, lastUserText, outcome }) =>
          turn === 1 && outcome === 'pending' && lastUserText.includes('Think for long'),
        60_000,
      ),
  },
  {
    phase: 'the checks',
    order: { checks: [blockOnce('check'), 'npm test'] },
    reached: blocked('check'),
  },
  { phase: 'the push', reached: () => holdGitHub('push') },
  { phase: 'the way from push to pull request', reached: () => holdGitHub('create_pull') },
]

for (const { phase, instructions = 'Mend the sum.', order = {}, reached } of cases) {
  test(`a server killed in ${phase} leaves nothing running, and its task is finished once`, async () => {
    const { repository, ordered, server } = await begin(instructions, order, phase)
    const { session_id } = await server.task(ordered.id)
    const workspace = join(world.dataDir, 'sessions', session_id, 'workspace')
    const atPhase = reached({ server, id: ordered.id, workspace })
    await atPhase
    await server.kill()
    await until(
      'the first attempt to be gone',
      () => sandboxProcessesOf(world.dataDir).length === 0,
    )
    world.github.beforeRequest(null)

    await using next = await world.start()
    await finishedOnce(next, ordered.id, repository)
  })
}

test('a server killed after GitHub opened the pull request, but before it heard of it, opens no second', async () => {
  const { repository, ordered, server } = await begin('Mend the sum.', {}, 'after')
  world.github.beforeRequest(({ action }) => {
    if (action === 'create_pull') return 'lose_answer'
    // It looks whether its request got through, and never learns it.
    return action === 'list_pulls' && repository.pullRequests.length > 0 ? held : undefined
  })
  await until('the pull request', () => repository.pullRequests.length === 1, 60_000)
  await server.kill()
  world.github.beforeRequest(null)
  await using next = await world.start()
  await finishedOnce(next, ordered.id, repository)
})

test('a deploy command that a crash cut off is not run again, and the task says so', async () => {
  const { ordered, server } = await begin(
    'Mend the sum.',
    { type: 'deploy', commands: [blockOnce('deploy'), 'touch .git/second'], checks: [] },
    'deploy',
  )
  const { session_id } = await server.task(ordered.id)
  await blocked('deploy')({ workspace: join(world.dataDir, 'sessions', session_id, 'workspace') })
  await server.kill()
  await using next = await world.start()
  const task = await next.ended(ordered.id)
  assert.equal(task.reason, 'checks_failed')
  assert.match(task.error?.message ?? '', /was cut off by a restart/)
  const events = await next.events(ordered.id)
  assertWholeLog(events)
  assert.equal(events.filter(({ type }) => type === 'task.command_started').length, 1)
})

test('a server that is told to stop hands its task back, and the next one goes on', async () => {
  const { repository, ordered, server } = await begin('Mend and wait.', {}, 'drain')
  const { session_id } = await server.task(ordered.id)
  await blocked('tool')({ workspace: join(world.dataDir, 'sessions', session_id, 'workspace') })
  assert.equal(await server.stop(), 0)
  assert.deepEqual(sandboxProcessesOf(world.dataDir), [])
  await using next = await world.start()
  await finishedOnce(next, ordered.id, repository)
  const types = (await next.events(ordered.id)).map(({ type }) => type)
  assert.ok(types.includes('session.status_rescheduled'))
})

async function begin(instructions: string, order: object, name: string) {
  repositories += 1
  const repository = await world.repository(`sum-${repositories}`, brokenSum)
  const server = await world.start()
  const ordered = await server.order({
    type: 'refactor',
    repoUrl: repository.url,
    instructions: `${instructions} (${name})`,
    priority: 'medium',
    ...order,
  })
  return { repository, server, ordered }
}

async function finishedOnce(server: ServerProcess, id: string, repository: FakeRepository) {
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assertWholeLog(await server.events(id))
  assert.deepEqual((await repository.branches()).sort(), [task.result?.branch ?? '', 'main'].sort())
  assert.equal(repository.pullRequests.length, 1)
  assert.equal((await repository.commits(task.result?.branch ?? '')).length, 2)
  assert.equal(
    await repository.fileAt(task.result?.branch ?? '', 'sum.sh'),
    'echo $(( $1 + $2 ))\n',
  )
  assert.deepEqual(world.model.duplicates, [])
  assert.deepEqual(world.model.violations, [])
  await until(
    'the workspace to be gone',
    () => !existsSync(join(world.dataDir, 'sessions', task.session_id)),
  )
  assert.deepEqual(sandboxProcessesOf(world.dataDir), [])
}

/** The transcript has a call of this command: the turn that asked for it is finished and stored. */
async function stored(command: string): Promise<void> {
  const host = join(world.dataDir, 'postgres18')
  const client = new pg.Client({ host, port: 5432, user: 'longhaul', database: 'postgres' })
  await client.connect()
  const text = 'select 1 from transcript_entries where entry::text like $1'
  await until(
    'the turn to be stored',
    async () => ((await client.query(text, [`%"tool_use"%${command}%`])).rowCount ?? 0) > 0,
  )
  await client.end()
}
