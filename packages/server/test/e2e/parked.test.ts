/** A thousand tasks that wait for humans: what they hold meanwhile, and that each goes on when it is answered. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Approval, type Task, totalMax } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import type pg from 'pg'
import { copyParked, type ParkedCopy } from '../support/parked-rows.ts'
import { connectTo } from '../support/postgres.ts'
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

const copiesMade = 1000
const answered = 5
/** The same tasks are chosen each time. */
const seed = 20_261_129

const scenario = script(
  when('Mend with leave', use('Bash', { command: mend }), say('Mended, with leave.')),
)

let world: World
let server: ServerProcess
let store: pg.Client
let copies: ParkedCopy[]
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start()
  store = await connectTo(world.dataDir)
  copies = await copyParked(store, { taskId: await parkOne(), copies: copiesMade })
})
after(async () => {
  await store.end()
  await world[Symbol.asyncDispose]()
})

async function parkOne(): Promise<string> {
  const { id: agent } = await server.post<{ id: string }>('/v1/agents', {
    name: 'asking',
    model: 'claude-sonnet-5-5',
    tools: [
      {
        type: 'agent_toolset_20260401',
        configs: [{ name: 'bash', permission_policy: { type: 'always_ask' } }],
      },
    ],
  })
  const { url: repoUrl } = await world.repository('asked', brokenSum)
  const { id } = await server.order({ repoUrl, instructions: 'Mend with leave.', agent })
  await server.event(id, ({ type }) => type === 'task.approval_requested')
  return id
}

test('a thousand parked tasks have no process, and every list has all of them', async () => {
  await until('what ran to be gone', () => sandboxProcessesOf(world.dataDir).length === 0)
  const listed = await server.get<{ total: number }>('/v1/tasks?reason=waiting_approval')
  assert.equal(listed.total, totalMax)
  const asked: Approval[] = []
  for (let page: string | null = ''; page !== null; ) {
    const query: string = page === '' ? '' : `&page=${page}`
    const got: { data: Approval[]; next_page: string | null } = await server.get(
      `/v1/approvals?status=pending&limit=100${query}`,
    )
    asked.push(...got.data)
    page = got.next_page
  }
  assert.equal(new Set(asked.map(({ id }) => id)).size, copiesMade + 1)
  const { store, queue } = await server.get<Record<string, { ok: boolean }>>('/health')
  assert.deepEqual([store?.ok, queue?.ok], [true, true])
  const metrics = async () => (await server.request('/metrics')).text()
  const none = /^longhaul_queue_depth\{priority="medium",status="active"\} 0$/m
  await until('no work to be active', async () => none.test(await metrics()))
})

test('those that are answered go on, without a workspace, to the end that they would have had', async () => {
  const chosen = choose(copies, answered)
  for (const { taskId, approvalId } of chosen)
    await server.post(`/v1/tasks/${taskId}/approvals/${approvalId}`, { decision: 'allow' })
  for (const { taskId } of chosen) {
    const task = await server.ended(taskId)
    assert.equal(task.reason, 'done', JSON.stringify(task.error))
    assert.equal(task.result?.summary, 'Mended, with leave.')
    const events = await server.events(taskId)
    assertWholeLog(events)
    assert.equal(events.filter(({ type }) => type === 'agent.tool_use').length, 1)
  }
  const branches = await Promise.all(chosen.map(({ taskId }) => server.task(taskId)))
  assert.equal(new Set(branches.map(({ result }) => result?.branch)).size, answered)
  assert.deepEqual([world.model.duplicates, world.model.violations], [[], []])
  const waiting = await server.get<{ data: Task[]; total: number }>(
    '/v1/tasks?reason=waiting_approval',
  )
  assert.equal(waiting.total, copiesMade + 1 - answered)
})

/** So many of them, by a generator that always begins at the same seed. */
function choose<T>(from: readonly T[], count: number): T[] {
  const left = [...from]
  let state = seed
  return Array.from({ length: count }, () => {
    // The multiplier and increment of Numerical Recipes.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return left.splice(state % left.length, 1)
  }).flat()
}
