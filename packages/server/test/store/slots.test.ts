/** Slots are uids of the host: what two processes lease at once they lease from one store. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Store } from '../../src/store/open.ts'
import { leaseSlot, releaseSlot } from '../../src/store/sessions.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'

const sessionsMax = 40
/** Of a lease that waits for a release. */
const triesMax = 10_000
let postgres: TestPostgres
let one: Store
let two: Store
before(async () => {
  postgres = await startPostgres()
  const databaseUrl = await postgres.createDatabase()
  one = await postgres.openStore({ databaseUrl })
  two = await postgres.openStore({ databaseUrl })
})
after(async () => {
  await one[Symbol.asyncDispose]()
  await two[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

const sessions = (count: number) =>
  Promise.all(Array.from({ length: count }, () => makeSession(one.db)))
/** Every other one from the one store, the rest from the other, all at once. */
const lease = (ids: readonly string[], node: string, slotsMax = sessionsMax) =>
  Promise.all(ids.map((id, n) => leaseSlot((n % 2 === 0 ? one : two).db, { id, node, slotsMax })))
const sorted = (slots: readonly number[]) => slots.toSorted((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1)

test('forty sessions that two stores lease at once get forty slots, and there is no forty-first', async () => {
  const ids = await sessions(sessionsMax)
  assert.deepEqual(sorted(await lease(ids, 'racing')), upTo(sessionsMax))
  const [late = ''] = await sessions(1)
  for (const { db } of [one, two])
    await assert.rejects(
      leaseSlot(db, { id: late, node: 'racing', slotsMax: sessionsMax }),
      /no slot of 40 is free/,
    )
})

test('one session that two stores lease at once has one slot', async () => {
  const ids = await sessions(10)
  const slots = await lease(
    ids.flatMap((id) => [id, id, id, id]),
    'twice',
  )
  const bySession = Map.groupBy(slots, (_, n) => ids[Math.floor(n / 4)])
  assert.deepEqual(
    [...bySession.values()].map((its) => new Set(its).size),
    ids.map(() => 1),
  )
  assert.deepEqual(sorted([...new Set(slots)]), upTo(10))
})

test('slots that one store releases are leased by either, and none that is still held', async () => {
  const node = 'again'
  const held = await sessions(sessionsMax)
  const slots = await lease(held, node)
  const given = new Set<number>()
  // Released by one while both lease: a slot may be had as soon as it is free, and not before.
  const next = await sessions(sessionsMax / 2)
  const tries = next.map(async (id, n) => {
    const { db } = n % 2 === 0 ? one : two
    for (let tried = 0; tried < triesMax; tried += 1) {
      const slot = await leaseSlot(db, { id, node, slotsMax: sessionsMax }).catch(() => null)
      if (slot === null) continue
      assert.ok(!given.has(slot), `slot ${slot} was leased twice`)
      given.add(slot)
      return
    }
    throw new Error(`no slot in ${triesMax} tries`)
  })
  const released = held.filter((_, n) => n % 2 === 0)
  for (const [n, id] of held.entries())
    if (released.includes(id))
      await releaseSlot(one.db, { id, node, slot: slots[n] ?? 0, status: 'idle' })
  await Promise.all(tries)
  assert.deepEqual(sorted([...given]), sorted(slots.filter((_, n) => n % 2 === 0)))
})

test('nodes have slots of their own: two may have the same', async () => {
  const [ofOne, ofTwo] = [await sessions(5), await sessions(5)]
  const both = await Promise.all([lease(ofOne, 'north'), lease(ofTwo, 'south')])
  assert.deepEqual(both.map(sorted), [upTo(5), upTo(5)])
})
