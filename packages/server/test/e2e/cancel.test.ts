/** A task cancelled in each phase: its processes are gone within seconds, its work is kept. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
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

/** The promise: nothing of the agent's runs this long after a cancel. */
const goneMsMax = 5000

const block = (name: string): string => `touch .git/${name}; setsid sleep 300 & sleep 300`
const scenario = script(
  when(
    'Mend and wait',
    use('Bash', { command: mend }),
    use('Bash', { command: block('tool') }),
    say('Mended.'),
  ),
  when(
    'Mend and think',
    use('Bash', { command: mend }),
    say('Mended.', { fault: { kind: 'hang', where: 'headers' } }),
  ),
  when(
    'Look and wait',
    use('Bash', { command: mend }),
    use('Bash', { command: block('tool') }),
    say('Seen.'),
  ),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

let world: World
let server: ServerProcess
let made = 0
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start({ TASK_CONCURRENCY: '1' })
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

interface Case {
  readonly phase: string
  readonly instructions?: string
  readonly order?: object
  readonly reached: (o: { workspace: string; id: string }) => Promise<unknown>
  /** Where the work is afterwards. */
  readonly kept: 'nowhere' | 'branch' | 'patch' | 'published'
}

const blocked = (name: string) => (o: { workspace: string }) =>
  until(`${name} to block`, () => existsSync(join(o.workspace, '.git', name)), 60_000)

function held(action: string): Promise<void> {
  const came = Promise.withResolvers<void>()
  world.github.beforeRequest((request) => {
    if (request.action !== action) return undefined
    world.github.beforeRequest(null)
    came.resolve()
    return Promise.withResolvers<never>().promise
  })
  return came.promise
}

const cases: readonly Case[] = [
  { phase: 'the clone', reached: () => held('fetch'), kept: 'nowhere' },
  {
    phase: 'set-up',
    order: { setup: [block('setup')] },
    reached: blocked('setup'),
    kept: 'nowhere',
  },
  {
    phase: 'a tool of the agent',
    instructions: 'Mend and wait',
    reached: blocked('tool'),
    kept: 'branch',
  },
  {
    phase: 'a model request',
    instructions: 'Mend and think',
    reached: () =>
      world.model.waitFor(
        (asked) => asked.turn === 1 && asked.lastUserText.includes('Mend and think'),
        60_000,
      ),
    kept: 'branch',
  },
  {
    phase: 'the checks',
    order: { checks: [block('check')] },
    reached: blocked('check'),
    kept: 'branch',
  },
  { phase: 'the push', reached: () => held('push'), kept: 'branch' },
  {
    phase: 'the way from push to pull request',
    reached: () => held('create_pull'),
    kept: 'published',
  },
  {
    phase: 'an analysis, which may not push',
    instructions: 'Look and wait',
    order: { type: 'analysis' },
    reached: blocked('tool'),
    kept: 'patch',
  },
]

for (const { phase, instructions = 'Mend', order = {}, reached, kept } of cases) {
  test(`cancelled in ${phase}: its processes are gone, and its work is kept (${kept})`, async () => {
    made += 1
    const repository = await world.repository(`sum-${made}`, brokenSum)
    const ready = reached
    const ordered = await server.order({
      type: 'refactor',
      repoUrl: repository.url,
      instructions: `${instructions}. (${made})`,
      priority: 'medium',
      ...order,
    })
    const { session_id } = await server.task(ordered.id)
    await ready({
      id: ordered.id,
      workspace: join(world.dataDir, 'sessions', session_id, 'workspace'),
    })

    const before = sandboxProcessesOf(world.dataDir)
    // The request for the pull request is the server's own; nothing runs in the sandbox meanwhile.
    if (kept !== 'published') assert.notEqual(before.length, 0)
    await server.cancel(ordered.id)
    const gone = (): boolean => {
      const now = new Set(sandboxProcessesOf(world.dataDir))
      return before.every((pid) => !now.has(pid))
    }
    await until('everything that ran to be gone', gone, goneMsMax)
    const task = await server.ended(ordered.id)
    assert.equal(task.status, 'failed')
    assert.equal(task.reason, 'cancelled')
    assertWholeLog(await server.events(ordered.id))
    const branches = (await repository.branches()).filter((name) => name !== 'main')
    if (kept === 'published') {
      assert.match(branches.join(), /^agent\/refactor-mend-/)
      assert.match(task.error?.message ?? '', /The work is on the branch agent\//)
    } else if (kept === 'branch') {
      assert.match(branches.join(), /^agent\/refactor-mend-.*-wip$/)
      assert.equal(await repository.fileAt(branches[0] ?? '', 'sum.sh'), 'echo $(( $1 + $2 ))\n')
      assert.equal(task.result?.branch, branches[0])
      assert.match(task.error?.message ?? '', /The work so far is on the branch agent\/.*-wip\./)
    } else {
      assert.deepEqual(branches, [])
    }
    if (kept === 'patch') assert.match(await server.artifact(ordered.id, 'work.patch'), /^\+echo/m)
    assert.equal(repository.pullRequests.length, 0)
    await until(
      'the workspace to be gone',
      () => !existsSync(join(world.dataDir, 'sessions', session_id)),
    )
    assert.deepEqual(sandboxProcessesOf(world.dataDir), [])
  })
}

test('a task that waits ends at once when it is cancelled, and cancelling twice changes nothing', async () => {
  const repository = await world.repository('waiting', brokenSum)
  const order = { type: 'refactor', repoUrl: repository.url, priority: 'low' }
  const first = await server.order({ ...order, instructions: 'Mend and wait, first.' })
  await server.event(first.id, ({ type }) => type === 'agent.tool_result')
  const second = await server.order({ ...order, instructions: 'Mend, second.' })
  const cancelled = await server.cancel(second.id)
  assert.equal(cancelled.reason, 'cancelled')
  assert.equal(cancelled.started_at, null)
  const again = await server.cancel(second.id)
  assert.equal(again.completed_at, cancelled.completed_at)
  assertWholeLog(await server.events(second.id))
  await server.cancel(first.id)
  assert.equal((await server.ended(first.id)).reason, 'cancelled')
})
