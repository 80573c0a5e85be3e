import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, think, together, use, when } from '@longhaul/testing'
import type { Store } from '../../src/store/open.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
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

test('three turns behind bubblewrap run, edit and answer in one process', async () => {
  const edit = { file_path: 'a.txt', old_string: 'one', new_string: 'two' }
  await using stage = await setStage({
    store,
    kind: 'bubblewrap',
    scenarios: [
      script(
        when('begin', use('Bash', { command: 'echo one > a.txt; id -u' }), say('Begun.')),
        when(
          'go on',
          use('Read', { file_path: 'a.txt' }),
          use('Edit', edit),
          together(think('Nearly there.'), say('Edited.')),
        ),
        when('end', use('Bash', { command: 'cat a.txt; env' }), say('All done.')),
      ),
    ],
  })
  const sandbox = await stage.sandbox()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })

  assert.equal(agent.resumed, false)
  assert.deepEqual(await agent.turn('begin'), { kind: 'finished', text: 'Begun.' })
  assert.deepEqual(await agent.turn('go on'), { kind: 'finished', text: 'Edited.' })
  assert.deepEqual(await agent.turn('end'), { kind: 'finished', text: 'All done.' })

  assert.deepEqual(stage.said('agent.message'), ['Begun.', 'Edited.', 'All done.'])
  const [begun, , , end = ''] = stage.said('agent.tool_result')
  assert.equal(begun, '1000')
  assert.match(end, /^two\n/)
  assert.ok(!end.includes(stage.model.apiKey))
  assert.deepEqual(
    stage.events.filter(({ type }) => !type.startsWith('span.')).map(({ type }) => type),
    [
      'session.status_running',
      'agent.tool_use',
      'agent.tool_result',
      'agent.message',
      'session.status_idle',
      'session.status_running',
      'agent.tool_use',
      'agent.tool_result',
      'agent.tool_use',
      'agent.tool_result',
      'agent.thinking',
      'agent.message',
      'session.status_idle',
      'session.status_running',
      'agent.tool_use',
      'agent.tool_result',
      'agent.message',
      'session.status_idle',
    ],
  )
  assert.deepEqual(stage.model.violations, [])
  assert.equal(stage.model.duplicateTurns(), 0)
  assert.ok(stage.model.requests.every(({ kind }) => kind === 'turn'))
})

test('a message is previewed with the id that it is stored with', async () => {
  await using stage = await setStage({
    store,
    kind: 'none',
    scenarios: [script(when('speak', say('A sentence that takes more than one delta.')))],
  })
  const sandbox = await stage.sandbox()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  await agent.turn('speak')
  const message = stage.events.find(({ type }) => type === 'agent.message')
  const [start, ...deltas] = stage.deltas
  assert.deepEqual(start?.['event'], { type: 'agent.message', id: message?.id })
  assert.ok(deltas.length > 1)
  assert.ok(deltas.every((delta) => delta['event_id'] === message?.id))
})

test('what a subagent does carries the id of its thread', async () => {
  await using stage = await setStage({
    store,
    kind: 'none',
    scenarios: [
      script(
        when('look into it', use('Bash', { command: 'echo found' }), say('Found.')),
        when(
          'delegate',
          use('Agent', {
            description: 'look',
            prompt: 'look into it',
            subagent_type: 'general-purpose',
            run_in_background: false,
          }),
          say('It was found.'),
        ),
      ),
    ],
  })
  const sandbox = await stage.sandbox()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  assert.deepEqual(await agent.turn('delegate'), { kind: 'finished', text: 'It was found.' })
  const threads = stage.events
    .filter(({ type }) => type === 'agent.tool_use')
    .map(({ thread_id }) => thread_id)
  assert.equal(threads[0], undefined)
  assert.match(threads[1] ?? '', /^sthr_[0-9a-hjkmnp-tv-z]{26}$/)
})

test('an agent that was closed answers further turns with a failure', async () => {
  await using stage = await setStage({ store, kind: 'none', scenarios: [] })
  const sandbox = await stage.sandbox()
  const agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  await agent.close()
  const end = await agent.turn('anyone?')
  assert.equal(end.kind === 'failed' && end.reason, 'cancelled')
})
