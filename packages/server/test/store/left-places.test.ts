/** A session that goes on elsewhere leaves its files, and with them its slot, until that node removed both. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listLeftPlaces, releaseLeftPlace } from '../../src/store/left-places.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession, leaseSlot } from '../../src/store/sessions.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'

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

const claim = (id: string, node: string) => claimSession(store.db, { id, node, now: new Date() })
const lease = (id: string, node: string) => leaseSlot(store.db, { id, node, slotsMax: 3 })
const left = (node: string) => listLeftPlaces(store.db, { node, limit: 10 })

async function sessionOn(node: string): Promise<{ id: string; slot: number }> {
  const id = await makeSession(store.db)
  await claim(id, node)
  return { id, slot: await lease(id, node) }
}

test('its slot is nobody else’s until its files are removed', async () => {
  const { id, slot } = await sessionOn('first')
  await claim(id, 'second')
  assert.deepEqual(await left('first'), [{ sessionId: id, slot }])
  const others = [await sessionOn('first'), await sessionOn('first')]
  assert.ok(others.every((other) => other.slot !== slot))
  await assert.rejects(sessionOn('first'), /no slot of 3 is free/)
  await releaseLeftPlace(store.db, { node: 'first', sessionId: id, slot })
  assert.equal((await sessionOn('first')).slot, slot)
})

test('when it comes back its slot is its own again, and not removed any more', async () => {
  const { id, slot } = await sessionOn('home')
  await claim(id, 'away')
  await lease(id, 'away')
  await claim(id, 'home')
  assert.deepEqual(await left('home'), [])
  assert.equal((await left('away')).length, 1)
  assert.equal(await lease(id, 'home'), slot)
  // A sweep that looked before it came back.
  await releaseLeftPlace(store.db, { node: 'home', sessionId: id, slot })
  assert.equal(await lease(id, 'home'), slot)
})

test('one that never had a slot leaves none', async () => {
  const id = await makeSession(store.db)
  await claim(id, 'here')
  await claim(id, 'there')
  assert.deepEqual(await left('here'), [])
})
