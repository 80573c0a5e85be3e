import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LeaseLost } from '../../src/store/lease-lost.ts'
import type { Store } from '../../src/store/open.ts'
import { isOutage } from '../../src/store/outage.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

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

for (const { code, what } of [
  { code: '08006', what: 'the connection broke' },
  { code: '25006', what: 'the primary is a standby now' },
  { code: '25P03', what: 'a transaction did nothing for too long' },
  { code: '40P01', what: 'two waited for each other' },
  { code: '53300', what: 'there are too many connections' },
  { code: '55000', what: 'the database takes no connections' },
  { code: '55P03', what: 'somebody else has the lock' },
  { code: '57P01', what: 'the server is being stopped' },
  { code: '58030', what: 'a disk failed' },
  { code: '58P01', what: 'a file was moved by an upgrade' },
  { code: 'XX000', what: 'a pooler lost its server' },
])
  test(`what failed since ${what} (${code}) is tried again`, async () => {
    assert.equal(isOutage(await raised(code)), true)
  })

for (const { code, what } of [
  { code: '22P02', what: 'a value that is none' },
  { code: '23505', what: 'a row that is there' },
  { code: '25P02', what: 'a transaction that failed before' },
  { code: '42P01', what: 'a table that does not exist' },
  { code: '55P02', what: 'a setting that cannot be set' },
  { code: 'XX001', what: 'a page that is corrupt' },
])
  test(`${what} (${code}) is not tried again`, async () => {
    assert.equal(isOutage(await raised(code)), false)
  })

test('a lease that is lost is not tried for again', () => {
  assert.equal(isOutage(new LeaseLost('sesn_1', 1)), false)
})

/** What a statement rejects with that the server refuses with `code`. */
async function raised(code: string): Promise<unknown> {
  const statement = `do $$ begin raise exception using errcode = '${code}'; end $$`
  return store.pool.query(statement).then(
    () => assert.fail('it was not refused'),
    (error: unknown) => error,
  )
}
