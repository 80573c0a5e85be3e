/** Two servers with one PostgreSQL: what a worker that lost its lease can still do, and what becomes of the work of one that is gone. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Approval } from '@longhaul/client/contract'
import { type Scenario, say, script, use, when } from '@longhaul/testing'
import { ask, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  mend,
  sandboxProcessesOf,
  type World,
} from '../support/world.ts'

/** Waits until it is let go, and says what it is told then. */
const wait = 'touch .git/came; until test -s .git/go; do sleep 0.1; done; cat .git/go'
const told = 'canary-of-the-stopped'

const questions = [
  {
    ...{ question: 'Which sum?', header: 'Sum', multiSelect: false },
    options: [
      { label: 'plus', description: 'adds' },
      { label: 'times', description: 'multiplies' },
    ],
  },
]

const steps = script(
  when(
    'Wait, then mend',
    use('Bash', { command: wait }),
    use('Bash', { command: mend }),
    say('Ok.'),
  ),
  when(
    'Ask, then mend',
    use('Write', { file_path: 'before.txt', content: 'done before\n' }),
    use('AskUserQuestion', { questions }),
    use('Bash', { command: mend }),
    say('Ok.'),
  ),
)
let heardOfStopped = false
const scenario: Scenario = (conversation) => {
  heardOfStopped ||= JSON.stringify(conversation.history).includes(told)
  return steps(conversation)
}

let postgres: TestPostgres
let first: World
let shared: Readonly<Record<string, string>>
before(async () => {
  postgres = await startPostgres()
  first = await makeWorld([scenario])
  shared = {
    DATABASE_URL: await postgres.createDatabase(),
    ANTHROPIC_BASE_URL: first.model.url,
    GITHUB_URL: first.github.url,
    GITHUB_API_URL: first.github.apiUrl,
    TASK_CONCURRENCY: '1',
    CALLBACK_ALLOW: '127.0.0.1:1',
  }
})
after(async () => {
  await first[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

test('a worker that was stopped for longer than its lease writes nothing, asks nothing of the model, and ends what it ran', async (t) => {
  await using stopped = await first.start(shared)
  await using second = await makeWorld([])
  const repository = await first.repository('sum', brokenSum)
  const order = { repoUrl: repository.url, instructions: 'Wait, then mend.' }
  const { id } = await stopped.order(order)
  const { session_id: sessionId } = await stopped.task(id)
  const [here, elsewhere] = [first, second].map(({ dataDir }) =>
    join(dataDir, 'sessions', sessionId, 'workspace/.git'),
  ) as [string, string]
  await until('the agent to wait', () => existsSync(join(here, 'came')), 90_000)
  const call = 'select from transcript_entries where entry::text like \'%"tool_use"%.git/came%\''
  const isStored = async () => (await ask(shared['DATABASE_URL'] ?? '', call)).length > 0
  await until('its call to be stored', isStored)
  const other = await second.start(shared)
  const since = Date.now()
  process.kill(stopped.pid, 'SIGSTOP')
  try {
    await until('the agent to wait elsewhere', () => existsSync(join(elsewhere, 'came')), 90_000)
    assert.ok(sandboxProcessesOf(first.dataDir).length > 0, 'its agent is still there')
    await writeFile(join(here, 'go'), `${told}\n`)
  } finally {
    process.kill(stopped.pid, 'SIGCONT')
  }
  const asked = first.model.requests.length
  const isOver = () => sandboxProcessesOf(first.dataDir).length === 0
  await until('what it ran to be gone', isOver)
  assert.equal(first.model.requests.length, asked)
  await writeFile(join(elsewhere, 'go'), 'go on\n')

  const task = await other.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.equal(heardOfStopped, false)
  const events = await stopped.events(id)
  assertWholeLog(events)
  const attempts = events.flatMap(({ attempt }) => (attempt === undefined ? [] : [attempt]))
  assert.deepEqual(attempts, attempts.toSorted())
  assert.deepEqual([...new Set(attempts)], [1, 2])
  const claimed = events.find(({ attempt }) => attempt === 2)?.processed_at ?? ''
  t.diagnostic(`claimed elsewhere after ${Date.parse(claimed) - since} ms`)
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.equal(repository.pullRequests.length, 1)
  assert.deepEqual([first.model.duplicates, first.model.violations], [[], []])

  // What signs for an endpoint that one node made is a secret of the others as well.
  const endpoint = { url: 'http://127.0.0.1:1/' }
  const { secret } = await other.post<{ secret: string }>('/v1/endpoints', endpoint)
  const repeats = async () => (await stopped.send('/v1/tasks', { type: secret })).text()
  await until('the other node to know the secret', async () => !(await repeats()).includes(secret))
})

test('a task that was parked on a node which is gone is answered on another, and goes on there with all that it had', async () => {
  await using here = await makeWorld([])
  await using elsewhere = await makeWorld([])
  const gone = await here.start(shared)
  const repository = await first.repository('asked', brokenSum)
  const { id: agent } = await gone.post<{ id: string }>('/v1/agents', {
    ...{ name: 'asking', model: 'claude-sonnet-5-5' },
    tools: [{ type: 'agent_toolset_20260401', configs: [] }],
  })
  const order = { repoUrl: repository.url, instructions: 'Ask, then mend.', agent }
  const { id } = await gone.order(order)
  await gone.event(id, ({ type }) => type === 'task.approval_requested')
  await until('it to have no process', () => sandboxProcessesOf(here.dataDir).length === 0)
  await gone.kill()

  const server = await elsewhere.start(shared)
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  assert.deepEqual(
    data.map(({ status, kind }) => [status, kind]),
    [['pending', 'question']],
  )
  const answers = { 'Which sum?': 'plus' }
  await server.post(`/v1/tasks/${id}/approvals/${data[0]?.id}`, { decision: 'answer', answers })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))

  const events = await server.events(id)
  assertWholeLog(events)
  const of = (wanted: string) => events.filter(({ type }) => type === wanted)
  const [restored] = of('workspace.restored')
  assert.equal(restored?.['commit'], of('workspace.checkpoint')[0]?.['commit'])
  assert.notEqual(restored?.['commit'], undefined)
  const calls = of('agent.tool_use').map(({ name }) => name)
  assert.deepEqual(calls, ['Write', 'AskUserQuestion', 'Bash'])
  assert.match((await server.toolResults(id)).join('\n'), /plus/)
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.equal(await repository.fileAt(branch, 'before.txt'), 'done before\n')
  assert.equal(repository.pullRequests.length, 1)
  assert.deepEqual([first.model.duplicates, first.model.violations], [[], []])
})
