import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import type { Store } from '../../src/store/open.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { setStage } from './stage.ts'

let postgres: TestPostgres
let store: Store
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
})
after(async () => {
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

test('a command that outlives its timeout is waited for, and so is the answer after it', async () => {
  await using stage = await setStage({
    store,
    kind: 'bubblewrap',
    scenarios: [
      script(
        when(
          'run the suite',
          use('Bash', {
            command: 'until test -e go; do /bin/sleep 0.1; done; echo yes > done.txt',
          }),
          say('It runs in the background.'),
          // The CLI tells the model by itself that the command has ended.
          use('Bash', { command: 'cat done.txt' }),
          say('It passed.'),
        ),
      ),
    ],
  })
  const sandbox = await stage.sandbox()
  await using agent = await stage.open({
    sandbox,
    transcript: await stage.transcript(),
    bashTimeoutMs: 2000,
  })
  const ended = agent.turn('run the suite')
  // Were it to end sooner, the CLI would say so within this answer.
  await until('the model has answered', () => stage.said('agent.message').length > 0)
  await writeFile(join(sandbox.paths.workspace, 'go'), '')
  assert.deepEqual(await ended, { kind: 'finished', text: 'It passed.' })
  assert.equal(stage.said('agent.tool_result').at(-1), 'yes')
  const statuses = stage.events.filter(({ type }) => type.startsWith('session.status_'))
  assert.deepEqual(
    statuses.map(({ type }) => type),
    ['session.status_running', 'session.status_idle'],
  )
})

test('a server that the model left in the background is stopped a minute after its last message', async () => {
  await using stage = await setStage({
    store,
    kind: 'none',
    scenarios: [
      script(
        when(
          'start a server',
          use('Bash', { command: 'exec /bin/sleep 600', run_in_background: true }),
          say('It listens.'),
        ),
        when('and now', say('Nothing.')),
      ),
    ],
  })
  const sandbox = await stage.sandbox()
  const clock = new ManualClock()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript(), clock })
  const from = clock.now()
  let isOver = false
  const ended = agent.turn('start a server').finally(() => {
    isOver = true
  })
  await until('the model has answered', () => stage.said('agent.message').length > 0)
  // The minute is counted from the moment in which the session is idle: shortly after the answer.
  await until('the turn is over', () => {
    clock.advance(1000)
    return isOver
  })
  assert.deepEqual(await ended, { kind: 'finished', text: 'It listens.' })
  assert.ok(clock.now() - from >= 60_000)
  assert.deepEqual(await agent.turn('and now'), { kind: 'finished', text: 'Nothing.' })
})
