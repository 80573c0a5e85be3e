import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { makeDirectory, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { killProcess, openIn, openInProcess } from '../support/stores.ts'
import { until } from '../support/until.ts'

let postgres: TestPostgres
before(async () => {
  postgres = await startPostgres()
})
after(() => postgres[Symbol.asyncDispose]())

test('servers that migrate one new database at once all succeed', async () => {
  await using directory = await makeDirectory()
  const databaseUrl = await postgres.createDatabase()
  await using opened = new AsyncDisposableStack()
  const open = async (name: string) => {
    const child = await openInProcess(join(directory.path, name), { databaseUrl })
    opened.defer(() => killProcess(child))
  }
  await Promise.all(['one', 'two'].map(open))
  await using store = await openIn(join(directory.path, 'three'), databaseUrl)
  const { rows } = await store.pool.query('select name from migrations order by name')
  const files = await readdir(join(import.meta.dirname, '../../src/store/migrations'))
  assert.deepEqual(
    rows.map(({ name }) => `${name}.ts`),
    files.sort(),
  )
  assert.equal(store.kind, 'external')
})

test('a database that a newer version has migrated is refused', async () => {
  const databaseUrl = await postgres.createDatabase()
  await using first = await postgres.openStore({ databaseUrl })
  await first.pool.query("insert into migrations (name) values ('9999-later')")
  await assert.rejects(postgres.openStore({ databaseUrl }), /newer Longhaul \(9999-later\)/)
})

test('a data directory with an external database is locked, and free once its server is killed', async () => {
  await using directory = await makeDirectory()
  const databaseUrl = await postgres.createDatabase()
  const first = await openInProcess(directory.path, { databaseUrl })
  await assert.rejects(openIn(directory.path, databaseUrl), /Another Longhaul server/)
  await killProcess(first)
  await using second = await openIn(directory.path, databaseUrl)
  await second.ping(AbortSignal.timeout(5000))
})

test('a server whose lock was taken over while its connection was broken is told to end', async () => {
  await using directory = await makeDirectory()
  const databaseUrl = await postgres.createDatabase()
  await using store = await openIn(directory.path, databaseUrl)
  const thief = new pg.Client(store.connection)
  await thief.connect()
  // Waits behind the store's own session and has the lock the moment that is gone.
  const stolen = thief.query('select pg_advisory_lock(hashtextextended($1, 0))', [
    `longhaul node ${store.node}`,
  ])
  await until('the thief waits', async () => {
    const { rows } = await store.pool.query('select from pg_locks where not granted')
    return rows.length === 1
  })
  await store.pool.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
    [`longhaul node ${store.node}`],
  )
  await stolen
  await until('the store is told', () => store.lost.aborted)
  await assert.rejects(store.ping(AbortSignal.timeout(5000)), /Another Longhaul server/)
  await thief.end()
})
