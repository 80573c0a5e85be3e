import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Conversation, say, script, use, when } from '@longhaul/testing'
import type { Store } from '../../src/store/open.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { cutOff, setInterruptedStage } from './interrupted.ts'
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

test('the transcripts of subagents are put back on another node', async () => {
  const order = { description: 'look', prompt: 'look', subagent_type: 'general-purpose' }
  await using stage = await setStage({
    store,
    kind: 'none',
    scenarios: [
      script(
        when('delegate', use('Agent', { ...order, run_in_background: false }), say('Found.')),
        when('look', say('Here.')),
      ),
    ],
  })
  await using agent = await stage.open({
    sandbox: await stage.sandbox(),
    transcript: await stage.transcript(),
  })
  await agent.turn('delegate')
  await agent.close()

  const sandbox = await stage.sandbox()
  await using resumed = await stage.open({ sandbox, transcript: await stage.transcript() })
  assert.equal(resumed.resumed, true)
  const find = ['find', sandbox.paths.config, '-path', '*/subagents/*']
  const { stdout } = await sandbox.exec(find, {
    network: false,
    timeoutMs: 60_000,
    outputBytesMax: 10_000,
    signal: AbortSignal.timeout(60_000),
  })
  const files = stdout
    .trim()
    .split('\n')
    .map((file) => file.replace(/.*\/agent-\w+/, ''))
  assert.deepEqual(files.sort(), ['.jsonl', '.meta.json'])
})

test('a node whose disk is behind what is stored takes the stored conversation', async () => {
  const seen: Conversation[] = []
  await using stage = await setInterruptedStage({ store, kind: 'none', seen })
  const [first, second] = [await stage.sandbox(), await stage.sandbox()]
  await cutOff(stage, first)
  await using onSecond = await stage.open({
    sandbox: second,
    transcript: await stage.transcript(),
  })
  await onSecond.turn('the server restarted')
  await onSecond.close()

  await using back = await stage.open({ sandbox: first, transcript: await stage.transcript() })
  assert.deepEqual(await back.turn('go on'), { kind: 'finished', text: 'Still on.' })
  assert.deepEqual(
    seen.at(-1)?.history.flatMap((entry) => (entry.kind === 'turn' ? [entry.text] : [])),
    ['', '', '', 'On.'],
  )
  assert.equal(stage.model.duplicateTurns(), 0)
})

test('a transcript without any message begins anew', async () => {
  const seen: Conversation[] = []
  await using stage = await setInterruptedStage({ store, kind: 'none', seen })
  const sandbox = await stage.sandbox()
  const early = await stage.open({ sandbox, transcript: await stage.transcript() })
  await early.close()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  assert.equal(agent.resumed, false)
  assert.deepEqual(await agent.turn('go on'), { kind: 'finished', text: 'Still on.' })
})
