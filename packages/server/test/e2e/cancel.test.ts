/** A task cancelled in each phase: its processes are gone within seconds, its work is kept. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Task } from '@longhaul/client/contract'
import type { FakeRepository } from '@longhaul/testing'
import { assertSwept, enter, type Phase, phaseScenario, phases } from '../support/phases.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  sandboxProcessesOf,
  type World,
} from '../support/world.ts'

/** The promise: nothing of the agent's runs this long after a cancel. */
const goneMsMax = 5000

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([phaseScenario])
  server = await world.start({ TASK_CONCURRENCY: '1' })
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

/** Where the work is afterwards. */
type Kept = 'nowhere' | 'branch' | 'patch' | 'published'

const analysis: Phase = {
  ...phases.tool,
  name: 'an analysis, which may not push',
  order: { type: 'analysis' },
}
const cases: readonly (readonly [Phase, Kept])[] = [
  [phases.clone, 'nowhere'],
  [phases.setup, 'nowhere'],
  [phases.tool, 'branch'],
  [phases.model, 'branch'],
  [phases.checks, 'branch'],
  [phases.push, 'branch'],
  [phases.pullRequest, 'published'],
  [analysis, 'patch'],
]

for (const [phase, kept] of cases) {
  test(`cancelled in ${phase.name}: its processes are gone, and its work is kept (${kept})`, async () => {
    const entered = await enter(phase, { world, server })
    const before = sandboxProcessesOf(world.dataDir)
    // The request for the pull request is the server's own; nothing runs in the sandbox meanwhile.
    if (kept !== 'published') assert.notEqual(before.length, 0)
    await server.cancel(entered.id)
    const gone = (): boolean => {
      const now = new Set(sandboxProcessesOf(world.dataDir))
      return before.every((pid) => !now.has(pid))
    }
    await until('everything that ran to be gone', gone, goneMsMax)
    const task = await server.ended(entered.id)
    assert.equal(task.status, 'failed')
    assert.equal(task.reason, 'cancelled')
    assertWholeLog(await server.events(entered.id))
    await assertKept(kept, { task, repository: entered.repository })
    await assertSwept(world, entered)
  })
}

test('a task that waits ends at once when it is cancelled, and cancelling twice changes nothing', async () => {
  const first = await enter({ ...phases.tool, name: 'a task before' }, { world, server })
  const repository = await world.repository('waiting', brokenSum)
  const second = await server.order({ repoUrl: repository.url, instructions: 'Mend.' })
  const cancelled = await server.cancel(second.id)
  assert.equal(cancelled.reason, 'cancelled')
  assert.equal(cancelled.started_at, null)
  const again = await server.cancel(second.id)
  assert.equal(again.completed_at, cancelled.completed_at)
  assertWholeLog(await server.events(second.id))
  await server.cancel(first.id)
  assert.equal((await server.ended(first.id)).reason, 'cancelled')
})

async function assertKept(kept: Kept, o: { task: Task; repository: FakeRepository }) {
  const { task, repository } = o
  const branches = (await repository.branches()).filter((name) => name !== 'main')
  if (kept === 'published') {
    assert.match(branches.join(), /^agent\/refactor-mend-/)
    assert.doesNotMatch(branches.join(), /-wip$/)
    assert.match(task.error?.message ?? '', /The work is on the branch agent\//)
  } else if (kept === 'branch') {
    assert.match(branches.join(), /^agent\/refactor-mend-.*-wip$/)
    assert.equal(await repository.fileAt(branches[0] ?? '', 'sum.sh'), 'echo $(( $1 + $2 ))\n')
    assert.equal(task.result?.branch, branches[0])
    assert.match(task.error?.message ?? '', /The work so far is on the branch agent\/.*-wip\./)
  } else {
    assert.deepEqual(branches, [])
  }
  const patch = await server.request(`/v1/tasks/${task.id}/artifacts/work.patch`)
  assert.equal(patch.status, kept === 'patch' ? 200 : 404)
  if (kept === 'patch') assert.match(await patch.text(), /^\+echo/m)
  assert.equal(repository.pullRequests.length, 0)
}
