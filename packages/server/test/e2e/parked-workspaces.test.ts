/** A node keeps the workspaces of a bounded number of parked tasks; the others' are made anew. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Approval } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { connectTo } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { brokenSum, makeWorld, mend } from '../support/world.ts'

const scenario = script(
  when(
    'Mend with leave',
    use('Write', { file_path: 'before.txt', content: 'done before\n' }),
    use('Bash', { command: mend }),
    say('Mended.'),
  ),
)

test('the longest parked task gives its workspace and its slot back, and goes on with all that its agent did', async () => {
  await using world = await makeWorld([scenario])
  await using server = await world.start({ PARKED_WORKSPACES_MAX: '1' })
  const repository = await world.repository('parked', brokenSum)
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
  async function park(): Promise<{ id: string; directory: string; sessionId: string }> {
    const order = { repoUrl: repository.url, instructions: 'Mend with leave.', agent }
    const { id } = await server.order(order)
    await server.event(id, ({ type }) => type === 'task.approval_requested')
    const { session_id: sessionId } = await server.task(id)
    return { id, sessionId, directory: join(world.dataDir, 'sessions', sessionId) }
  }
  const first = await park()
  assert.ok(existsSync(first.directory), 'one may stay')
  const second = await park()
  await until('the first workspace to go', () => !existsSync(first.directory), 60_000)
  assert.ok(existsSync(second.directory), 'the one that was parked last stays')
  const store = await connectTo(world.dataDir)
  try {
    const slotOf = async () => {
      const text = 'select slot from sessions where id = $1'
      return (await store.query<{ slot: number | null }>(text, [first.sessionId])).rows[0]?.slot
    }
    await until('the slot to be given back', async () => (await slotOf()) === null)
  } finally {
    await store.end()
  }

  const asked = await server.get<{ data: Approval[] }>(`/v1/tasks/${first.id}/approvals`)
  const path = `/v1/tasks/${first.id}/approvals/${asked.data[0]?.id}`
  await server.post(path, { decision: 'allow' })
  const task = await server.ended(first.id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, 'before.txt'), 'done before\n')
  const restored = (await server.events(first.id)).filter(
    ({ type }) => type === 'workspace.restored',
  )
  assert.equal(restored.length, 1)
  assert.notEqual(restored[0]?.['commit'], null)
  assert.deepEqual([world.model.duplicates, world.model.violations], [[], []])
})
