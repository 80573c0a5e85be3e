/** PostgreSQL is stopped under a running task, for as long as a restart or a failover takes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiKey } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { ServerApi } from '../support/server-api.ts'
import { startStoppablePostgres } from '../support/stoppable-postgres.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, mend } from '../support/world.ts'

const awayMs = 3000
/** On the model below an answer costs 4 dollars a million. */
const dear = { input_tokens: 100_000, output_tokens: 0 }
const answerUsd = 0.4
/** Of a task that goes on at once; one whose requests are held back stands for minutes. */
const goesOnMsMax = 30_000

test('a task goes on within seconds when PostgreSQL was away meanwhile, and all of it is charged', async () => {
  const asked = Promise.withResolvers<void>()
  const away = Promise.withResolvers<void>()
  const cut = async (): Promise<void> => {
    asked.resolve()
    await away.promise
  }
  await using world = await makeWorld([
    script(
      when(
        'Mend',
        use('Bash', { command: mend }, { usage: dear, until: cut }),
        use('Bash', { command: 'sh test.sh' }, { usage: dear }),
        say('Mended.', { usage: dear }),
      ),
    ),
  ])
  await using postgres = await startStoppablePostgres()
  const settings = { MODEL: 'claude-opus-5-5', DATABASE_URL: postgres.url }
  await using server = await world.start(settings)
  const scopes = ['tasks:read', 'tasks:write']
  const body = { name: 'k', scopes, day_budget_usd: 50 }
  const key = await server.post<ApiKey & { key: string }>('/v1/keys', body)
  const { id } = await world.order(new ServerApi(server.url, key.key), { instructions: 'Mend.' })
  await asked.promise
  await postgres.stop()
  const stopped = performance.now()
  away.resolve()
  await until('it to be away for a while', () => performance.now() - stopped >= awayMs)
  await postgres.start()
  const back = performance.now()
  await until('the model to be asked again', () => turns(world.model).length > 1, 240_000)
  const tookMs = performance.now() - back
  assert.ok(tookMs < goesOnMsMax, `it went on after ${tookMs} ms`)

  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assertWholeLog(await server.events(id))
  assert.equal(world.model.duplicateTurns(), 0)
  assert.deepEqual(world.model.violations, [])
  const { spent_today_usd: charged } = await server.get<ApiKey>(`/v1/keys/${key.id}`)
  for (const usd of [task.result?.cost_usd ?? 0, charged])
    assert.ok(Math.abs(usd - 3 * answerUsd) < 0.001, `${usd} for three answers`)
})

function turns(model: { readonly requests: readonly { readonly kind: string }[] }) {
  return model.requests.filter(({ kind }) => kind === 'turn')
}
