/** Removing a session's files takes a moment, in which it may go on: what it has by then stays its own. */
import assert from 'node:assert/strict'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { limitsOf } from '../../src/runner/limits.ts'
import { sweep } from '../../src/runner/sweep.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import type { SandboxDriver } from '../../src/sandbox/driver.ts'
import { listLeftPlaces } from '../../src/store/left-places.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession, getSession, leaseSlot, setSessionStatus } from '../../src/store/sessions.ts'
import { makeDirectory, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'

const log = createLog('silent')
const never = new AbortController().signal
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

test('directories that no row owns are removed, when their slot is free; links and what is another’s stay', async () => {
  await using directory = await makeDirectory()
  await using elsewhere = await makeDirectory()
  const dataDir = directory.path
  const config = loadConfig({ ANTHROPIC_API_KEY: 'none', DATA_DIR: dataDir })
  const sandboxes = createSandboxDriver({ kind: 'bubblewrap', dataDir, log, clock })
  const idOf = (name: string) => `sesn_${name.padEnd(26, '0')}`
  const at = (name: string) => join(dataDir, 'sessions', name)
  const make = async (id: string, slot: number) => {
    const walls = { env: {}, gitRewrite: [], limits: limitsOf(config) }
    await using box = await sandboxes.open({ sessionId: id, directory: at(id), slot, ...walls })
    const o = { network: false, timeoutMs: 20_000, outputBytesMax: 1000, signal: never }
    const left = await box.exec(['sh', '-c', 'mkdir -p a/b; touch a/b/c; chmod 0 a'], o)
    assert.equal(left.exitCode, 0, left.stderr)
  }
  const living = await sessionOn('west')
  await make(living.id, living.slot)
  // Files of a slot that somebody has by now: to end what runs there would end theirs.
  await make(idOf('same1uid'), living.slot)
  await make(idOf('left'), living.slot + 5)
  await mkdir(at(idOf('half')))
  await symlink(elsewhere.path, at(idOf('link')))
  await mkdir(join(dataDir, 'sessions', 'lost+found'))
  const deps = { store, node: 'west', config, sandboxes, dataDir, clock, log }
  await sweep(deps)
  const isTaken = process.getuid?.() === 0 ? [idOf('same1uid')] : []
  const stay = [living.id, idOf('link'), 'lost+found']
  assert.deepEqual((await readdir(at(''))).toSorted(), [...stay, ...isTaken].toSorted())

  await end(living.id)
  await sweep(deps)
  await sweep(deps)
  assert.deepEqual((await readdir(at(''))).toSorted(), [idOf('link'), 'lost+found'].toSorted())
  assert.deepEqual(await listLeftPlaces(store.db, { node: 'west', limit: 10 }), [])
})
