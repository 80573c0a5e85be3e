/** What was spent is accounted for, and not twice, also when the database is away just then. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Clock, systemClock as clock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { KeyBudget } from '../../src/runner/key-budget.ts'
import { Spending } from '../../src/runner/spending.ts'
import { reserveSpending, settleSpending, spentToday } from '../../src/store/key-spending.ts'
import { insertKey } from '../../src/store/keys.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession, getSession } from '../../src/store/sessions.ts'
import { allowConnections, toldOfSleep } from '../support/away.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'

const log = createLog('silent')
const usage = {
  input_tokens: 1,
  output_tokens: 2,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}

let postgres: TestPostgres
let store: Store
let url: string
before(async () => {
  postgres = await startPostgres()
  url = await postgres.createDatabase()
  store = await postgres.openStore({ databaseUrl: url })
})
after(async () => {
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

test('what was spent while the database is away is stored when it is back, and waited for', async () => {
  const held = await makeClaimedSession(store.db)
  const tried = Promise.withResolvers<void>()
  const spending = new Spending({ store, clock: toldOfSleep(tried.resolve), log, ...held })
  await allowConnections(url, false)
  const added = [spending.add({ usage, costUsd: 0.25 }), spending.add({ usage, costUsd: 0.5 })]
  let isStored = false
  const stored = spending.stored().then(() => {
    isStored = true
  })
  await tried.promise
  assert.equal(isStored, false)
  await allowConnections(url, true)
  await Promise.all([...added, stored])
  assert.equal((await getSession(store.db, held.sessionId))?.cost_usd, 0.75)
})

test('what an attempt spent is stored after another one has the session', async () => {
  const held = await makeClaimedSession(store.db)
  const spending = new Spending({ store, clock, log, ...held })
  await claimSession(store.db, { id: held.sessionId, node: 'other', now: new Date() })
  await spending.add({ usage, costUsd: 0.25 })
  assert.equal((await getSession(store.db, held.sessionId))?.cost_usd, 0.25)
})

test('nothing more is spent once something could not be accounted for', async () => {
  const held = await makeClaimedSession(store.db)
  const spending = new Spending({ store, clock, log, ...held })
  await spending.add({ usage: { ...usage, input_tokens: 0.5 }, costUsd: 0.25 })
  await spending.settled()
  await assert.rejects(spending.stored(), /could not be accounted for/)
})

test('a key is charged when the database is back, and its reservation stands until then', async () => {
  const { keyId, held, spent, reserved } = await makeKey(0.5)
  const tried = Promise.withResolvers<void>()
  const budget = budgetOf(keyId, held, toldOfSleep(tried.resolve))
  const admission = await budget.admit(0.4, AbortSignal.timeout(60_000))
  assert.ok(admission.kind === 'admitted')
  await allowConnections(url, false)
  admission.settle(0.3)
  await tried.promise
  await allowConnections(url, true)
  await budget.settled()
  assert.deepEqual([await spent(), await reserved()], [0.3, 0])
})

test('a charge whose answer was lost is not made twice while its attempt goes on', async () => {
  const { charge, spent } = await makeKey(0.5)
  await charge({ mayBeSettled: false })
  await charge({ mayBeSettled: true })
  assert.equal(await spent(), 0.3)
})

test('a charge is made again rather than not at all when its attempt is over', async () => {
  const { held, charge, spent } = await makeKey(0.5)
  await claimSession(store.db, { id: held.sessionId, node: 'other', now: new Date() })
  await charge({ mayBeSettled: true })
  assert.equal(await spent(), 0.3)
})

function budgetOf(keyId: string, held: { sessionId: string; attempt: number }, by: Clock) {
  const config = { keyDayBudgetUsd: null }
  return new KeyBudget({ store, clock: by, log, config }, { keyId, lease: held })
}

/** A key with a session, and a reservation of one request that costs 0.3 dollars. */
async function makeKey(limitUsd: number) {
  const now = new Date()
  const keyId = newId('key', clock)
  const limits = { day_budget_usd: limitUsd }
  await insertKey(store.db, {
    ...{ id: keyId, hash: keyId, name: 'k', scopes: ['*'], createdBy: null, limits, now },
  })
  const held = await makeClaimedSession(store.db)
  const reservation = { ...held, keyId, id: newId('resv', clock), now }
  const charge = async (o: { readonly mayBeSettled: boolean }) => {
    const { db } = store
    if (!o.mayBeSettled)
      await db
        .transaction()
        .execute((trx) => reserveSpending(trx, { ...reservation, worstUsd: 0.4, limitUsd }))
    await db
      .transaction()
      .execute((trx) => settleSpending(trx, { ...reservation, ...o, costUsd: 0.3 }))
  }
  const spent = async () => (await spentToday(store.db, { keyIds: [keyId], now })).get(keyId)
  const reserved = async () =>
    (await store.db.selectFrom('key_reservations').select('id').execute()).length
  return { keyId, held, charge, spent, reserved }
}
