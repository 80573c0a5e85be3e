/** A rolling restart: every worker is drained and started anew while tasks are under way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Worker } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { startPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, mend } from '../support/world.ts'

/** Long enough that a restart comes in between. */
const work = Array.from({ length: 6 }, () => use('Bash', { command: 'sleep 1' }))
const scenario = script(when('Mend', ...work, use('Bash', { command: mend }), say('Mended.')))

test('a rolling restart of all workers finishes or hands over every task', async (t) => {
  await using postgres = await startPostgres()
  await using front = await makeWorld([scenario])
  const shared = {
    DATABASE_URL: await postgres.createDatabase(),
    ANTHROPIC_BASE_URL: front.model.url,
    GITHUB_URL: front.github.url,
    GITHUB_API_URL: front.github.apiUrl,
    PUBLIC_URL: 'https://longhaul.example',
    TASK_CONCURRENCY: '2',
  }
  const api = await front.start({ ...shared, WORKER: 'false' })
  const workers = async () => (await api.get<{ data: Worker[] }>('/v1/workers')).data
  const labelled = async (label: string) =>
    (await workers()).find(({ labels, status }) => labels.includes(label) && status !== 'lost')
  await using first = await makeWorld([])
  let one = await first.startWorker({ ...shared, WORKER_LABELS: 'one' })
  await using second = await makeWorld([])
  let two = await second.startWorker({ ...shared, WORKER_LABELS: 'two, zone:b' })
  await until('both to be announced', async () => (await workers()).length === 2)
  assert.deepEqual((await labelled('two'))?.labels, ['two', 'zone:b'])
  assert.equal((await labelled('one'))?.slots, 2)

  const ids: string[] = []
  for (const name of ['a', 'b', 'c']) {
    const { url } = await front.repository(name, brokenSum)
    ids.push((await api.order({ repoUrl: url, instructions: `Mend ${name}.` })).id)
  }
  for (const id of ids) await api.event(id, ({ type }) => type === 'agent.tool_use')

  for (const [label, handBack] of [
    ['one', true],
    ['two', false],
  ] as const) {
    const worker = (await labelled(label)) ?? assert.fail(`${label} is not there`)
    await api.post(`/v1/workers/${worker.id}/drain`, { hand_back: handBack })
    const isDrained = async () => (await labelled(label))?.status === 'drained'
    await until(`${label} to be drained`, isDrained, 120_000)
    if (label === 'one') {
      assert.equal(await one.stop(), 0)
      one = await first.startWorker({ ...shared, WORKER_LABELS: label })
    } else {
      assert.equal(await two.stop(), 0)
      two = await second.startWorker({ ...shared, WORKER_LABELS: label })
    }
    const isBack = async () => (await labelled(label))?.status === 'working'
    await until(`${label} to be back`, isBack)
  }
  for (const id of ids) {
    const task = await api.ended(id)
    assert.equal(task.status, 'completed', JSON.stringify(task.error))
    const events = await api.events(id)
    assertWholeLog(events)
    t.diagnostic(`attempts: ${Math.max(...events.map(({ attempt }) => attempt ?? 0))}`)
  }
  // What the model was saying at the moment when work was handed back is asked again, and nothing else.
  const lost = front.model.duplicates.filter(({ acknowledged }) => acknowledged)
  assert.deepEqual([lost, front.model.violations], [[], []])
})
