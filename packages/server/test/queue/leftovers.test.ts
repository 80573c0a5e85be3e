/** What the breaking suite calls left over in the store is seen when it is there. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { systemClock as clock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { WorkQueue } from '../../src/queue/work-queue.ts'
import { reserveSpending } from '../../src/store/key-spending.ts'
import { insertKey } from '../../src/store/keys.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession, leaseSlot } from '../../src/store/sessions.ts'
import { leftoversIn } from '../breaking/verdict.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession, makeSession } from '../support/sessions.ts'

let postgres: TestPostgres
let store: Store
let queue: WorkQueue
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
  queue = await WorkQueue.open({ store, clock, log: createLog('silent'), node: 'a' })
})
after(async () => {
  await queue[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

async function query<T extends object>(text: string): Promise<T[]> {
  return (await store.pool.query<T & pg.QueryResultRow>(text)).rows
}
const left = async () => (await leftoversIn({ query })).map((line) => line.split(':')[0])

test('work that waits, and a lease that is held', async () => {
  assert.deepEqual(await left(), [])
  const sessionId = await makeSession(store.db)
  const work = { sessionId, priority: 'medium' } as const
  await store.db.transaction().execute((trx) => queue.enqueue(trx, work))
  assert.deepEqual(await left(), ['work'])
  const [lease] = await queue.claim({ limit: null, free: 1 })
  assert.ok(lease)
  assert.deepEqual(await left(), ['work'])
  await store.db.transaction().execute((trx) => queue.complete(trx, lease))
  assert.deepEqual(await left(), [])
})

test('a slot, and the place that a session left', async () => {
  const { sessionId: id } = await makeClaimedSession(store.db, 'a')
  await leaseSlot(store.db, { id, node: 'a', slotsMax: 9 })
  assert.deepEqual(await left(), ['slots'])
  await claimSession(store.db, { id, node: 'b', now: new Date() })
  assert.deepEqual(await left(), ['left places'])
  await store.pool.query('delete from left_places')
})

test('what an attempt reserved of its key’s day, until the next one is claimed', async () => {
  const keyId = newId('key', clock)
  const now = new Date()
  await insertKey(store.db, {
    ...{ id: keyId, hash: keyId, name: 'k', scopes: ['*'], createdBy: null, limits: {}, now },
  })
  const { sessionId, attempt } = await makeClaimedSession(store.db, 'a')
  const wish = {
    id: newId('resv', clock),
    keyId,
    sessionId,
    attempt,
    worstUsd: 1,
    limitUsd: 9,
    now,
  }
  await store.db.transaction().execute((trx) => reserveSpending(trx, wish))
  assert.deepEqual(await left(), ['reservations'])
  await claimSession(store.db, { id: sessionId, node: 'a', now })
  assert.deepEqual(await left(), [])
})
