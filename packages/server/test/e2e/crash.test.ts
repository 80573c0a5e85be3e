/** `kill -9` of the server in each phase of an attempt, and a new server on the same directory. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import type { Ordered } from '../support/ordered.ts'
import {
  assertSwept,
  block,
  blocked,
  enter,
  nothingRuns,
  type Phase,
  phaseScenario,
  phases,
  query,
} from '../support/phases.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

/** Quick ones: an agent that is not stopped at once goes through them all in a second. */
const steps = [mend, 'echo 1', 'echo 2', 'echo 3', 'echo 4', 'echo 5']
const stepScenario = script(
  when('Step on', ...steps.map((command) => use('Bash', { command })), say('Mended.')),
)

const firstScenario = script(
  when('Wait at once', use('Bash', { command: block('first') }), say('Waited.')),
)

let world: World
before(async () => {
  world = await makeWorld([phaseScenario, stepScenario, firstScenario])
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

for (const phase of Object.values(phases)) {
  test(`a server killed in ${phase.name} leaves nothing running, and its task is finished once`, async () => {
    const entered = await killedIn(phase)
    await nothingRuns(world)
    await using next = await world.start()
    await finishedOnce(next, entered)
  })
}

test('a server killed after GitHub opened the pull request, but before it heard of it, opens no second', async () => {
  const entered = await killedIn({
    name: 'the way back from the pull request',
    instructions: 'Mend.',
    watch: ({ github }, { pullRequests }) => {
      github.beforeRequest(({ action }) => {
        if (action === 'create_pull') return 'lose_answer'
        // It looks whether its request got through, and never learns it.
        const looks = action === 'list_pulls' && pullRequests.length > 0
        return looks ? Promise.withResolvers<never>().promise : undefined
      })
      return () => until('the pull request', () => pullRequests.length === 1, 60_000)
    },
  })
  world.github.beforeRequest(null)
  await using next = await world.start()
  await finishedOnce(next, entered)
})

test('a deploy command that a crash cut off is not run again, and the task says so', async () => {
  const { id } = await killedIn({
    name: 'a deploy command',
    instructions: 'Mend.',
    order: { type: 'deploy', commands: [block('deploy'), 'touch .git/second'], checks: [] },
    watch: blocked('deploy'),
  })
  await using next = await world.start()
  const task = await next.ended(id)
  assert.equal(task.reason, 'checks_failed')
  assert.match(task.error?.message ?? '', /was cut off by a restart/)
  const events = await next.events(id)
  assertWholeLog(events)
  assert.equal(events.filter(({ type }) => type === 'task.command_started').length, 1)
})

test('a sixth crash ends a task that finished no turn since the fifth, and no other one', async () => {
  const server = await world.start()
  const going = await enter({ ...phases.tool, name: 'a sixth crash' }, { world, server })
  const stuck = await enter(
    { name: 'its first call', instructions: 'Wait at once.', watch: blocked('first') },
    { world, server },
  )
  await query(world, `update tasks set progress = progress || '{"strikes": 5}'`)
  await server.kill()
  await using next = await world.start()
  assert.equal((await next.ended(stuck.id)).reason, 'attempts_exhausted')
  await finishedOnce(next, going)
})

test('a server that is told to stop hands its task back, and the next one goes on', async () => {
  const server = await world.start()
  const entered = await enter({ ...phases.tool, name: 'a drain' }, { world, server })
  assert.equal(await server.stop(), 0)
  await nothingRuns(world)
  await using next = await world.start()
  await finishedOnce(next, entered)
  const types = (await next.events(entered.id)).map(({ type }) => type)
  assert.ok(types.includes('session.status_rescheduled'))
})

test('what an agent still does while its server stops is in the log', async () => {
  const server = await world.start()
  const repository = await world.repository('steps', brokenSum)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Step on.' })
  await server.event(id, ({ type }) => type === 'agent.tool_use')
  assert.equal(await server.stop(), 0)
  await using next = await world.start()
  assert.equal((await next.ended(id)).status, 'completed')
  const events = await next.events(id)
  assertWholeLog(events)
  const called = events
    .filter(({ type }) => type === 'agent.tool_use')
    .map(({ input }) => (input as { command: string }).command)
  // A call that was cut off is there twice.
  assert.deepEqual([...new Set(called)], steps)
})

/** A task of a server that was killed in that phase. */
async function killedIn(phase: Phase): Promise<Ordered> {
  const server = await world.start()
  const entered = await enter(phase, { world, server })
  await server.kill()
  return entered
}

async function finishedOnce(server: ServerProcess, entered: Ordered): Promise<void> {
  const { id, repository } = entered
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assertWholeLog(await server.events(id))
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.equal(repository.pullRequests.length, 1)
  assert.equal((await repository.commits(branch)).length, 2)
  assert.equal(await repository.fileAt(branch, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
  assert.deepEqual(world.model.duplicates, [])
  assert.deepEqual(world.model.violations, [])
  await assertSwept(world, entered)
}
