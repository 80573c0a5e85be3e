import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Transcript } from '../../src/agent/transcript.ts'
import { type Clock, systemClock as clock } from '../../src/clock.ts'
import { uuidOf } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession } from '../../src/store/sessions.ts'
import { allowConnections, toldOfSleep } from '../support/away.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'

const log = createLog('silent')
/** Never aborts. */
const { signal } = new AbortController()
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

test('a tool call is waited for until the entry that holds it is stored', async () => {
  const { transcript, append } = await setUp()
  let isStored = false
  const waiting = transcript
    .waitFor(['toolu_1', 'toolu_2'], { timeoutMs: 1000, clock: new ManualClock() })
    .then(() => {
      isStored = true
    })
  await append(callOf('toolu_1'))
  assert.equal(isStored, false)
  await append(callOf('toolu_2'))
  await waiting
})

test('waiting ends after its time, and says what is missing', async () => {
  const { transcript } = await setUp()
  const manual = new ManualClock()
  const waiting = transcript.waitFor(['toolu_1'], { timeoutMs: 1000, clock: manual })
  const refused = assert.rejects(waiting, /1 entries were not stored within 1000 ms/)
  manual.advance(1000)
  await refused
})

test('a later attempt knows what an earlier one stored', async () => {
  const { sessionId, transcript, append } = await setUp()
  assert.equal(await transcript.exists(), false)
  await append({ type: 'queue-operation' })
  assert.equal(await transcript.exists(), false)
  await append(callOf('toolu_1'))
  const { attempt } = await claimSession(store.db, { id: sessionId, node: 'n', now: new Date() })
  const later = new Transcript({ store, sessionId, attempt, clock, log, signal })
  assert.equal(await later.exists(), true)
  await later.waitFor(['toolu_1'], { timeoutMs: 1, clock: new ManualClock() })
})

test('a message is found by its UUID, alone, in the middle of a turn, or merged with others', async () => {
  const { transcript, append } = await setUp()
  await append(
    { type: 'user', uuid: 'alone' },
    {
      type: 'attachment',
      uuid: 'x',
      attachment: { type: 'queued_command', source_uuid: 'folded' },
    },
    { type: 'user', uuid: 'last', mergedSendUuids: ['merged', 'last'] },
  )
  for (const id of ['alone', 'folded', 'merged', 'last']) assert.ok(transcript.has(id), id)
  assert.equal(transcript.has('other'), false)
})

test('an attempt that lost the session stores nothing more', async () => {
  const { sessionId, append } = await setUp()
  await claimSession(store.db, { id: sessionId, node: 'n', now: new Date() })
  await assert.rejects(append(callOf('toolu_1')), /no longer holds the lease/)
})

test('entries come back as they went in, once each, in their order', async () => {
  const { transcript, append } = await setUp()
  const strange = { ...callOf('toolu_1'), output: 'nul \0, half \ud83d, "quotes"' }
  const more = callOf('toolu_2')
  await append(strange)
  await append(strange, more)
  await append({ type: 'agent_metadata' }, 'subagents/agent-1')
  const stored = await Array.fromAsync(transcript.stored())
  assert.deepEqual(stored, [
    { subpath: '', entries: [strange, more] },
    { subpath: 'subagents/agent-1', entries: [{ type: 'agent_metadata' }] },
  ])
})

test('what is appended while the database is away is stored, once, when it is back', async () => {
  const url = await postgres.createDatabase()
  await using away = await postgres.openStore({ databaseUrl: url })
  const tried = Promise.withResolvers<void>()
  const { transcript, append } = await setUp({ store: away, clock: toldOfSleep(tried.resolve) })
  await append(callOf('toolu_1'))
  await allowConnections(url, false)
  const appended = append(callOf('toolu_2'))
  await tried.promise
  assert.equal(transcript.has('toolu_2'), false)
  await allowConnections(url, true)
  await appended
  assert.equal(transcript.has('toolu_2'), true)
  const [conversation] = await Array.fromAsync(transcript.stored())
  assert.equal(conversation?.entries.length, 2)
})

test('a database that stays away ends the append, before the SDK would drop it', async () => {
  const url = await postgres.createDatabase()
  await using away = await postgres.openStore({ databaseUrl: url })
  const manual = new ManualClock()
  const tried = Promise.withResolvers<void>()
  const told = { ...toldOfSleep(tried.resolve), elapsed: () => manual.elapsed() }
  const { append } = await setUp({ store: away, clock: told })
  await allowConnections(url, false)
  const refused = assert.rejects(append(callOf('toolu_1')), /not currently accepting connections/)
  await tried.promise
  manual.advance(20_000)
  await refused
  await allowConnections(url, true)
})

async function setUp(o: { readonly store?: Store; readonly clock?: Clock } = {}) {
  const given = { store, clock, log, signal, ...o }
  const { sessionId, attempt } = await makeClaimedSession(given.store.db)
  const transcript = new Transcript({ ...given, sessionId, attempt })
  const key = { projectKey: sessionId, sessionId: uuidOf(sessionId) }
  type Entry = { type: string; uuid?: string; [field: string]: unknown }
  const append = (...given: (Entry | string)[]): Promise<void> => {
    const subpath = given.find((item) => typeof item === 'string')
    const entries = given.filter((item) => typeof item !== 'string')
    const place = subpath === undefined ? key : { ...key, subpath }
    return transcript.sdkStore().append(place, entries)
  }
  return { sessionId, transcript, append }
}

function callOf(id: string) {
  const content = [{ type: 'tool_use', id, name: 'Bash', input: {} }]
  return { type: 'assistant', uuid: randomUUID(), message: { id: `msg_${id}`, content } }
}
