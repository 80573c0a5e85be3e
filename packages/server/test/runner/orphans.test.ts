/** Directories of sessions that no row of the store owns: which of them are removed, and when. */
import assert from 'node:assert/strict'
import { chown, mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { limitsOf } from '../../src/runner/limits.ts'
import { Orphans } from '../../src/runner/orphans.ts'
import { sweep } from '../../src/runner/sweep.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import { narrowUids } from '../../src/sandbox/limits.ts'
import { listLeftPlaces } from '../../src/store/left-places.ts'
import type { Store } from '../../src/store/open.ts'
import { leaseSlot, setSessionStatus } from '../../src/store/sessions.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { makeDirectory, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'

const silent = createLog('silent')
const never = new AbortController().signal
const dayMs = 24 * 3_600_000
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

const idOf = (name: string) => `sesn_${name.padEnd(26, '0')}`

/** A node whose server can be started on one store and on another. */
async function nodeOf(node: string) {
  const directory = await makeDirectory()
  const dataDir = directory.path
  const config = loadConfig({ ANTHROPIC_API_KEY: 'none', DATA_DIR: dataDir })
  const sandboxes = createSandboxDriver({
    ...{ kind: 'bubblewrap', dataDir, log: silent, clock: systemClock },
  })
  const clock = new ManualClock()
  const said: string[] = []
  const log = pino(
    { base: null },
    { write: (line: string) => said.push(String(JSON.parse(line).msg)) },
  )
  const deps = { store, node, config, sandboxes, dataDir, clock, log }
  const at = (name: string) => join(dataDir, 'sessions', name)
  await mkdir(at(''), { mode: 0o711 })
  return {
    ...{ at, clock, said },
    start: () => Orphans.open(deps),
    look: (orphans: Orphans) => orphans.adopt().then(() => sweep(deps)),
    left: async () => (await readdir(at(''))).toSorted(),
    /** A session's directory in which a closed directory of its uid is. */
    async make(id: string, slot: number) {
      const walls = { env: {}, gitRewrite: [], limits: limitsOf(config) }
      await using box = await sandboxes.open({ sessionId: id, directory: at(id), slot, ...walls })
      const o = { network: false, timeoutMs: 20_000, outputBytesMax: 1000, signal: never }
      const made = await box.exec(['sh', '-c', 'mkdir -p a/b; touch a/b/c; chmod 0 a'], o)
      assert.equal(made.exitCode, 0, made.stderr)
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

async function sessionOn(node: string): Promise<{ id: string; slot: number }> {
  const { sessionId: id } = await makeClaimedSession(store.db, node)
  return { id, slot: await leaseSlot(store.db, { id, node, slotsMax: 998 }) }
}

test('a store that the data directory does not belong to removes nothing, however long it is used', async () => {
  await using node = await nodeOf('east')
  await mkdir(node.at(idOf('kept')))
  const wait = async (orphans: Orphans, days: number) => {
    await node.look(orphans)
    node.clock.advance(days * dayMs)
    await node.look(orphans)
  }
  await wait(await node.start(), 2)
  assert.deepEqual(await node.left(), [idOf('kept')], 'the first start has nothing to compare')
  assert.match(node.said.at(-1) ?? '', /are left: .*not known to belong to this store before/)
  const mine = `select value from settings where name = 'installation_id'`
  const { rows } = await store.pool.query(mine)
  const put = (id: string) =>
    store.pool.query(`update settings set value = $1 where name = 'installation_id'`, [id])
  // What a server finds that is started with another DATABASE_URL, or without one.
  await put('another')
  await wait(await node.start(), 2)
  await wait(await node.start(), 2)
  assert.deepEqual(await node.left(), [idOf('kept')])
  assert.match(node.said.at(-1) ?? '', /are left: this is not the store that .* belongs to/)
  // The right one, a backup of it maybe: it gives a day to see that.
  await put(rows[0].value)
  const orphans = await node.start()
  await wait(orphans, 0.999)
  assert.deepEqual(await node.left(), [idOf('kept')])
  assert.match(node.said.at(-1) ?? '', /are left: they are removed when/)
  await wait(orphans, 0.001)
  assert.deepEqual(await node.left(), [])
})

test('directories that were nobody’s for a day go, when their slot is free; links and what is another’s stay', async () => {
  await using node = await nodeOf('west')
  await using elsewhere = await makeDirectory()
  const living = await sessionOn('west')
  await node.make(living.id, living.slot)
  // Files of a slot that somebody has by now: to end what runs there would end theirs.
  await node.make(idOf('same1uid'), living.slot)
  await node.make(idOf('left'), living.slot + 5)
  await mkdir(node.at(idOf('half')))
  await symlink(elsewhere.path, node.at(idOf('link')))
  await mkdir(node.at('lost+found'))
  await node.start()
  const orphans = await node.start()
  const aDayLater = async () => {
    node.clock.advance(dayMs)
    await node.look(orphans)
  }
  await node.look(orphans)
  await aDayLater()
  const isTaken = process.getuid?.() === 0 ? [idOf('same1uid')] : []
  const stay = [living.id, idOf('link'), 'lost+found']
  assert.deepEqual(await node.left(), [...stay, ...isTaken].toSorted())
  const removed = node.said.filter((msg) => msg.endsWith('is removed'))
  assert.equal(removed.length, 3 - isTaken.length, 'only what is removed is said to be')

  await setSessionStatus(store.db, { id: living.id, status: 'terminated', now: new Date() })
  await node.look(orphans)
  await aDayLater()
  assert.deepEqual(await node.left(), [idOf('link'), 'lost+found'].toSorted())
  assert.deepEqual(await listLeftPlaces(store.db, { node: 'west', limit: 10 }), [])
})

test('those that cannot be taken over keep no other from it, however many they are', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('a server that is not root has one uid for all')
  await using node = await nodeOf('south')
  const living = await sessionOn('south')
  const uid = narrowUids.base + living.slot
  // The first and the last: file systems list them from either end.
  for (const n of [1, 2, 3]) await mkdir(node.at(idOf(`${n}z`)))
  for (let n = 10; n < 70; n += 1) {
    const workspace = node.at(`${idOf(`${n}x`)}/workspace`)
    await mkdir(workspace, { recursive: true })
    await chown(workspace, uid, uid)
  }
  for (const n of [4, 5, 6]) await mkdir(node.at(idOf(`${n}z`)))
  await node.start()
  const orphans = await node.start()
  await node.look(orphans)
  node.clock.advance(dayMs)
  await node.look(orphans)
  const left = await node.left()
  assert.equal(left.length, 60)
  assert.deepEqual(
    left.filter((name) => !/^sesn_\d\dx/.test(name)),
    [],
  )
})
