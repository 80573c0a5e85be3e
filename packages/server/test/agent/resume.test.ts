import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Conversation } from '@longhaul/testing'
import { sql } from 'kysely'
import type { Store } from '../../src/store/open.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { cutOff, setInterruptedStage } from './interrupted.ts'

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

for (const node of ['the same node', 'another node'] as const) {
  test(`a conversation that SIGKILL cut off goes on, on ${node}`, async () => {
    const seen: Conversation[] = []
    await using stage = await setInterruptedStage({ store, kind: 'bubblewrap', seen })
    const sandbox = await stage.sandbox()
    await cutOff(stage, sandbox)

    const next = node === 'the same node' ? sandbox : await stage.sandbox()
    await using agent = await stage.open({ sandbox: next, transcript: await stage.transcript() })
    assert.equal(agent.resumed, true)
    assert.deepEqual(await agent.turn('the server restarted'), { kind: 'finished', text: 'On.' })

    const results = seen
      .at(-1)
      ?.history.flatMap((entry) => (entry.kind === 'turn' ? entry.results : []))
    assert.deepEqual(
      results?.map(({ interrupted, text }) => (interrupted ? 'interrupted' : text)),
      ['first', 'interrupted', 'third'],
    )
    assert.equal(stage.model.duplicateTurns(), 0)
    assert.deepEqual(stage.model.violations, [])
  })
}

test('what a resumed process writes is stored as well, so a third one has all of it', async () => {
  const seen: Conversation[] = []
  await using stage = await setInterruptedStage({ store, kind: 'none', seen })
  const sandbox = await stage.sandbox()
  await cutOff(stage, sandbox)
  await using second = await stage.open({ sandbox, transcript: await stage.transcript() })
  await second.turn('the server restarted')
  await second.close()

  const elsewhere = await stage.sandbox()
  await using third = await stage.open({
    sandbox: elsewhere,
    transcript: await stage.transcript(),
  })
  assert.equal(third.resumed, true)
  assert.deepEqual(await third.turn('go on'), { kind: 'finished', text: 'Still on.' })
  assert.equal(stage.model.duplicateTurns(), 0)
})

test('what a process wrote and did not live to store, the next one on its node stores', async () => {
  const seen: Conversation[] = []
  await using stage = await setInterruptedStage({ store, kind: 'none', seen })
  const sandbox = await stage.sandbox()
  await cutOff(stage, sandbox)
  const entries = store.db.deleteFrom('transcript_entries')
  const isLate = sql<boolean>`entry ->> 'type' = 'assistant'`
  const { numDeletedRows } = await entries
    .where('session_id', '=', stage.sessionId)
    .where(isLate)
    .executeTakeFirst()
  assert.equal(numDeletedRows, 2n)

  await using second = await stage.open({ sandbox, transcript: await stage.transcript() })
  assert.deepEqual(await second.turn('the server restarted'), { kind: 'finished', text: 'On.' })
  assert.equal(stage.model.duplicateTurns(), 0)
})

test('a process whose conversation cannot be stored is ended, and the next one stores it', async () => {
  const seen: Conversation[] = []
  await using stage = await setInterruptedStage({ store, kind: 'none', seen })
  const sandbox = await stage.sandbox()
  await using first = await stage.open({ sandbox, transcript: await stage.transcript() })
  await using moved = new AsyncDisposableStack()
  await sql`alter table transcript_entries rename to moved`.execute(store.db)
  moved.defer(async () => {
    await sql`alter table moved rename to transcript_entries`.execute(store.db)
  })
  const end = await first.turn('begin')
  await moved.disposeAsync()
  assert.ok(end.kind === 'failed', 'the turn was not ended')
  assert.deepEqual([end.retry, end.message], ['later', 'The conversation could not be stored.'])
  await first.close()

  await using second = await stage.open({ sandbox, transcript: await stage.transcript() })
  assert.equal(second.resumed, true)
  assert.deepEqual(await second.turn('the server restarted'), { kind: 'finished', text: 'On.' })
  assert.equal(stage.model.duplicateTurns(), 0)
  assert.deepEqual(stage.model.violations, [])
})
