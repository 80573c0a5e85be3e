/** Removing a session's files takes a moment, in which it may go on: what it has by then stays its own. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { sweep } from '../../src/runner/sweep.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import type { SandboxDriver } from '../../src/sandbox/driver.ts'
import { listLeftPlaces } from '../../src/store/left-places.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession, getSession, leaseSlot, setSessionStatus } from '../../src/store/sessions.ts'
import { makeDirectory, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'

const log = createLog('silent')
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

const lease = (id: string, node: string) => leaseSlot(store.db, { id, node, slotsMax: 998 })
async function sessionOn(node: string): Promise<{ id: string; slot: number }> {
  const { sessionId: id } = await makeClaimedSession(store.db, node)
  return { id, slot: await lease(id, node) }
}
const end = (id: string) =>
  setSessionStatus(store.db, { id, status: 'terminated', now: new Date() })
/** A message reopens it, and `node` begins its next attempt. */
async function goOn(id: string, node: string): Promise<void> {
  await setSessionStatus(store.db, { id, status: 'idle', now: new Date() })
  await claimSession(store.db, { id, node, now: new Date() })
}

/** The sweep of a node, in which something happens when the files of a session are just removed. */
async function sweepOf(node: string, meanwhile = async () => undefined): Promise<void> {
  await using directory = await makeDirectory()
  const dataDir = directory.path
  const driver = createSandboxDriver({ kind: 'none', dataDir, log, clock })
  const sandboxes: SandboxDriver = {
    ...driver,
    open: async (spec) => {
      const sandbox = await driver.open(spec)
      const destroy = sandbox.destroy.bind(sandbox)
      sandbox.destroy = async () => {
        await destroy()
        await meanwhile()
      }
      return sandbox
    },
  }
  const config = loadConfig({ ANTHROPIC_API_KEY: 'none', DATA_DIR: dataDir })
  await sweep({ store, node, config, sandboxes, dataDir, clock, log })
}

test('a session that goes on elsewhere while its files are removed keeps the slot that it has there', async () => {
  const { id, slot } = await sessionOn('north')
  await end(id)
  let there = 0
  await sweepOf('north', async () => {
    if (there > 0) return
    await goOn(id, 'south')
    there = await lease(id, 'south')
  })
  const { node, slot: held } = (await getSession(store.db, id)) ?? {}
  assert.deepEqual([node, held], ['south', there])
  assert.notEqual((await sessionOn('south')).slot, there, 'two sessions run as one uid')
  assert.deepEqual(await listLeftPlaces(store.db, { node: 'north', limit: 10 }), [])
  assert.equal((await sessionOn('north')).slot, slot, 'what it left is free again')
  // When it ends there, its files there are found.
  await end(id)
  await sweepOf('south')
  assert.equal((await getSession(store.db, id))?.slot, null)
})

test('one that goes on where it was keeps its slot, too', async () => {
  const { id, slot } = await sessionOn('home')
  await end(id)
  await sweepOf('home', async () => goOn(id, 'home').then(() => undefined))
  assert.equal((await getSession(store.db, id))?.slot, slot)
})
