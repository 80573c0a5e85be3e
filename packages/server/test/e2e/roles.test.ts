/** A server that only answers and two workers without an API, three processes on one PostgreSQL. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { lapse } from '../support/leases.ts'
import { ask, startPostgres } from '../support/postgres.ts'
import { openReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, sandboxProcessesOf } from '../support/world.ts'

const wait = 'touch .git/came; until test -e .git/go; do sleep 0.1; done'
const scenario = script(
  when('Wait', use('Bash', { command: wait }), use('Bash', { command: mend }), say('Mended.')),
)

test('orders are taken by one process and worked on by others; a killed worker leaves its task to the other', async () => {
  await using postgres = await startPostgres()
  await using receiver = await openReceiver()
  await using front = await makeWorld([scenario])
  const shared = {
    DATABASE_URL: await postgres.createDatabase(),
    ANTHROPIC_BASE_URL: front.model.url,
    GITHUB_URL: front.github.url,
    GITHUB_API_URL: front.github.apiUrl,
    CALLBACK_ALLOW: `127.0.0.1:${receiver.port}`,
    PUBLIC_URL: 'https://longhaul.example',
    TASK_CONCURRENCY: '1',
  }
  const api = await front.start({ ...shared, WORKER: 'false' })
  const { sandbox, memory } = await api.get<{ sandbox: unknown; memory: unknown }>('/health')
  assert.deepEqual([sandbox, memory], [null, null])
  const repository = await front.repository('sum', brokenSum)
  const { id } = await api.order({
    ...{ repoUrl: repository.url, instructions: 'Wait.' },
    callbackUrl: `http://127.0.0.1:${receiver.port}/done`,
  })
  const { session_id: sessionId } = await api.task(id)

  await using first = await makeWorld([])
  const killed = await first.startWorker(shared)
  assert.equal((await killed.request('/v1/tasks')).status, 404)
  assert.equal((await killed.request('/readyz')).status, 200)
  assert.match(await (await killed.request('/metrics')).text(), /longhaul_queue_depth/)
  const within = (dataDir: string, name: string) =>
    join(dataDir, 'sessions', sessionId, 'workspace/.git', name)
  await until('it to work', () => existsSync(within(first.dataDir, 'came')), 90_000)
  assert.deepEqual(sandboxProcessesOf(front.dataDir), [])

  await using second = await makeWorld([])
  await second.startWorker(shared)
  await killed.kill()
  await ask(shared.DATABASE_URL, lapse)
  await until('the other to work', () => existsSync(within(second.dataDir, 'came')), 90_000)
  await writeFile(within(second.dataDir, 'go'), '')
  const task = await api.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assertWholeLog(await api.events(id))
  assert.equal(repository.pullRequests.length, 1)
  assert.match(repository.pullRequests[0]?.body ?? '', /https:\/\/longhaul\.example/)
  await until('the callback', () => receiver.received.length === 1)

  const { id: next } = await api.order({ repoUrl: repository.url, instructions: 'Wait.' })
  await api.event(next, ({ type }) => type === 'agent.tool_use')
  await api.cancel(next)
  assert.equal((await api.ended(next)).reason, 'cancelled')
})
