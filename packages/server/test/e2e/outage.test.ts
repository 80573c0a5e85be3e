/** PostgreSQL is stopped under a running task, for as long as a restart or a failover takes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { startStoppablePostgres } from '../support/stoppable-postgres.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, mend } from '../support/world.ts'

const awayMs = 3000
/** Of a task that goes on at once; one whose requests are held back stands for minutes. */
const goesOnMsMax = 30_000

test('a task goes on within seconds when PostgreSQL was away while the model answered', async () => {
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
        use('Bash', { command: mend }, { until: cut }),
        use('Bash', { command: 'sh test.sh' }),
        say('Mended.'),
      ),
    ),
  ])
  await using postgres = await startStoppablePostgres()
  await using server = await world.start({ DATABASE_URL: postgres.url })
  const { id } = await world.order(server, { instructions: 'Mend.' })
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
})

function turns(model: { readonly requests: readonly { readonly kind: string }[] }) {
  return model.requests.filter(({ kind }) => kind === 'turn')
}
