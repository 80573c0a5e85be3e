/** Which tool calls an agent is told of as cut off, when it goes on after a crash. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { appendEvents, type NewEvent } from '../../src/events/append.ts'
import { cutOffCalls } from '../../src/runner/cut-off.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession } from '../../src/store/sessions.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'

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

const use = (id: string, name: string, thread_id?: string): NewEvent => ({
  ...{ type: 'agent.tool_use', tool_use_id: id, name, input: { id } },
  ...(thread_id === undefined ? {} : { thread_id }),
})
const result = (id: string): NewEvent => ({
  type: 'agent.tool_result',
  tool_use_id: id,
  content: [],
})

/** A log, and what is told of it. */
async function makeLog() {
  const { sessionId, attempt: first } = await makeClaimedSession(store.db)
  let attempt = first
  return {
    log: (...events: NewEvent[]) =>
      store.db.transaction().execute(async (trx) => {
        await appendEvents(trx, { sessionId, attempt, events, clock })
      }),
    claim: async () => {
      const claimed = await claimSession(store.db, { id: sessionId, node: 'b', now: new Date() })
      attempt = claimed.attempt
    },
    told: () => cutOffCalls({ deps: { store }, lease: { sessionId } }),
  }
}

test('the call of a sub-agent, however long that has worked, and the call that this one was in', async () => {
  const { log, claim, told } = await makeLog()
  await log(use('parent', 'Agent'))
  for (let n = 0; n < 10; n += 1) {
    const calls = Array.from({ length: 100 }, (_, i) => `${n}-${i}`)
    await log(...calls.flatMap((id) => [use(id, 'Read', 'sthr_1'), result(id)]))
  }
  await log(use('child', 'Bash', 'sthr_1'))
  await claim()
  assert.deepEqual(await told(), ['Agent {"id":"parent"}', 'Bash {"id":"child"}'])
})

test('calls to MCP servers, and none that has its result', async () => {
  const { log, told } = await makeLog()
  const call = (id: string): NewEvent => ({
    ...{
      type: 'agent.mcp_tool_use',
      tool_use_id: id,
      mcp_server_name: 'x',
      name: 'ask',
      input: {},
    },
  })
  await log(call('one'), call('two'))
  await log({ type: 'agent.mcp_tool_result', mcp_tool_use_id: 'one', content: [] })
  assert.deepEqual(await told(), ['ask {}'])
})

test('none that it was told of before and went on after, but again when it did not go on', async () => {
  const { log, claim, told } = await makeLog()
  await log(use('early', 'Bash'))
  await claim()
  await log({ type: 'system.message', content: [{ type: 'text', text: 'cut off: Bash' }] })
  await claim()
  assert.deepEqual(await told(), ['Bash {"id":"early"}'])
  await log(use('late', 'Read'))
  await claim()
  assert.deepEqual(await told(), ['Read {"id":"late"}'])
})

test('of many at once, the agent’s own and the last of the others', async () => {
  const { log, told } = await makeLog()
  await log(use('parent', 'Agent'))
  await log(...Array.from({ length: 30 }, (_, n) => use(`c${n}`, 'Read', 'sthr_1')))
  const calls = await told()
  assert.equal(calls.length, 20)
  assert.deepEqual([calls[0], calls[19]], ['Agent {"id":"parent"}', 'Read {"id":"c29"}'])
})
