/** What the tasks of one key may spend in a day: they wait for the next one, or for a raise. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ApiKey } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import { nothingRuns } from '../support/phases.ts'
import { connectTo } from '../support/postgres.ts'
import { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, mend, type World } from '../support/world.ts'

const dayMs = 24 * 3_600_000
/** On the model below an answer costs 4 dollars a million. */
const dear = { input_tokens: 100_000, output_tokens: 10 }
const answerUsd = 0.4
const budgetUsd = 0.5
/** The test sees what the task does with its row: not before that is its budget spent. */
const watched = Promise.withResolvers<void>()
const scenario = script(
  when(
    'Spend',
    use('Bash', { command: mend }, { usage: dear }),
    use('Bash', { command: 'true' }, { usage: dear }),
    use('Bash', { command: 'sleep 0.1' }, { usage: dear }),
    say('Spent.'),
  ),
  when(
    'Pay when told',
    use('Bash', { command: mend }, { usage: dear }),
    use('Bash', { command: 'true' }, { usage: dear, until: () => watched.promise }),
    say('Paid.'),
  ),
)

let world: World
let server: ServerApi
let clock: JumpClock
before(async () => {
  world = await makeWorld([scenario])
  clock = new JumpClock()
  server = await world.startInProcess(clock, { settings: { MODEL: 'claude-opus-5-5' } })
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

async function keyOf(name: string, more: object = {}) {
  const body = { name, scopes: ['tasks:read', 'tasks:write'], ...more }
  return server.post<ApiKey & { key: string }>('/v1/keys', body)
}

/** A task that is ordered with that key. */
async function orderWith(key: string, instructions = 'Spend.'): Promise<string> {
  return (await world.order(new ServerApi(server.url, key), { instructions })).id
}

function waits(id: string): Promise<void> {
  return until(
    'it to wait',
    async () => (await server.task(id)).reason === 'waiting_budget',
    90_000,
  )
}

test('two tasks of one key share its day, wait when it is spent, and go on when it is raised', async () => {
  const { id: keyId, key } = await keyOf('sharing', { day_budget_usd: budgetUsd })
  const ids = [await orderWith(key), await orderWith(key)]
  for (const id of ids) await waits(id)
  const spent = (await server.get<ApiKey>(`/v1/keys/${keyId}`)).spent_today_usd
  // One answer more than the budget at most, whichever of the two it was.
  assert.ok(spent >= budgetUsd && spent < budgetUsd + 1.1 * answerUsd, `${spent}`)
  for (const id of ids) {
    const task = await server.task(id)
    assert.match(
      task.message,
      /The day’s budget of the key "sharing" is spent \(\$0\.8\d of \$0\.50\)/,
    )
    const { data } = await server.get<{ data: unknown[] }>(`/v1/tasks/${id}/approvals`)
    assert.deepEqual(data, [])
  }
  // Others go on meanwhile.
  const other = await orderWith((await keyOf('another')).key)
  assert.equal((await server.ended(other)).reason, 'done')

  await server.post(`/v1/keys/${keyId}`, { day_budget_usd: 100 })
  for (const id of ids) {
    const task = await server.ended(id)
    assert.equal(task.reason, 'done', JSON.stringify(task.error))
    assertWholeLog(await server.events(id))
  }
  const total = (await server.get<ApiKey>(`/v1/keys/${keyId}`)).spent_today_usd
  const costs = await Promise.all(ids.map(async (id) => (await server.task(id)).result?.cost_usd))
  assert.ok(Math.abs(total - costs.reduce<number>((sum, usd) => sum + (usd ?? 0), 0)) < 1e-6)
  assert.equal(world.model.duplicateTurns(), 0)
})

test('a raise is not lost on a task that is about to wait for it', async () => {
  const { id: keyId, key } = await keyOf('raised', { day_budget_usd: budgetUsd })
  const id = await orderWith(key, 'Pay when told.')
  const [holder, looker] = [await connectTo(world.dataDir), await connectTo(world.dataDir)]
  try {
    await server.event(id, ({ type }) => type === 'agent.tool_use')
    await holder.query('begin')
    await holder.query('select 1 from tasks where id = $1 for update', [id])
    watched.resolve()
    await until(
      'it to be about to wait',
      async () => {
        const { spent_today_usd: spent } = await server.get<ApiKey>(`/v1/keys/${keyId}`)
        const { rows } = await looker.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%tasks%for update%'`,
        )
        return rows.length > 0 && spent >= budgetUsd
      },
      90_000,
    )
    const raised = server.post(`/v1/keys/${keyId}`, { day_budget_usd: 100 })
    await holder.query('commit')
    await raised
  } finally {
    await holder.end()
    await looker.end()
  }
  assert.equal((await server.ended(id)).status, 'completed')
})

test('a task whose key has spent its day goes on by itself on the next one', async () => {
  const { key } = await keyOf('patient', { day_budget_usd: budgetUsd })
  const id = await orderWith(key)
  await waits(id)
  // What its attempt still does is over before the day is.
  await nothingRuns(world)
  clock.jump(dayMs)
  // Its second day pays for two more answers.
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
})
