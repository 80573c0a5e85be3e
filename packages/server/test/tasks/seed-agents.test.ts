import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { type AgentContent, taskType } from '@longhaul/client/contract'
import { systemClock as clock } from '../../src/clock.ts'
import { changeAgent } from '../../src/sessions/agents.ts'
import { getAgentOfType, insertNextVersion, listAgentVersions } from '../../src/store/agents.ts'
import type { Store } from '../../src/store/open.ts'
import { presets } from '../../src/tasks/presets.ts'
import { seedAgents } from '../../src/tasks/seed-agents.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

let postgres: TestPostgres
let store: Store
before(async () => {
  postgres = await startPostgres()
})
after(() => postgres[Symbol.asyncDispose]())
// A fresh database, where a server has seeded its presets.
beforeEach(async () => {
  store = await postgres.openStore()
})
afterEach(() => store[Symbol.asyncDispose]())

const id = `agent_${'1'.padStart(26, '0')}`
const older: AgentContent = { ...presets.refactor.agent, system: 'As it was.' }
const operator = { keyId: 'key_1', name: 'operator', scopes: ['*'] }
const contents = async (): Promise<AgentContent[]> =>
  (await listAgentVersions(store.db, { id, limit: 10 })).map(({ content }) => content)

test('servers that start again, or at once, seed no second version', async () => {
  await Promise.all([seedAgents({ store, clock }), seedAgents({ store, clock })])
  for (const type of taskType.options) {
    const seeded = await getAgentOfType(store.db, type)
    assert.equal(seeded?.version, 1)
    assert.deepEqual(seeded.content, presets[type].agent)
  }
})

test('a preset that the program has changed becomes the next version', async () => {
  const made = { id, content: older, createdBy: null, now: new Date() }
  await insertNextVersion(store.db, made)
  await seedAgents({ store, clock })
  const { agent } = presets.refactor
  assert.deepEqual(await contents(), [agent, older, agent])
})

test('what an operator made of a preset stays, also when the program’s changes', async () => {
  const patch = { system: 'Our way.' }
  await changeAgent({ store, clock }, { id, version: 1, patch }, operator)
  await seedAgents({ store, clock })
  const { agent } = presets.refactor
  assert.deepEqual(await contents(), [{ ...agent, ...patch }, agent])
})

test('a stored version cannot be changed, not even in the database', async () => {
  const changed = store.pool.query("update agent_versions set content = '{}' where agent_id = $1", [
    id,
  ])
  await assert.rejects(changed, /never changed/)
})
