/** A migration locks what it changes, and not for as long as something else takes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { createLog } from '../../src/log.ts'
import { migrate } from '../../src/store/migrate.ts'
import { startPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'

test('tasks are written while the errors of all logs are indexed', async () => {
  await using postgres = await startPostgres()
  await using store = await postgres.openStore()
  const { pool, db } = store
  await pool.query(`
    drop index events_errors;
    drop function event_is_error;
    alter table tasks drop column words;
    create index tasks_search on tasks using gin (task_search("order", result));
    delete from migrations where name in ('0022-quick-searches', '0026-errors-of-logs')`)
  let migrated: Promise<void> = Promise.resolve()
  await db.transaction().execute(async (trx) => {
    // An event that is being written: the index waits for it, as long as it would take.
    await sql`lock table events in row exclusive mode`.execute(trx)
    migrated = migrate(db, createLog('silent'))
    await until('the index to wait', async () => {
      const text = "select from pg_locks where not granted and relation = 'events'::regclass"
      return (await pool.query(text)).rows.length > 0
    })
    await sql`set local lock_timeout = '1s'`.execute(trx)
    await sql`lock table tasks in row exclusive mode`.execute(trx)
  })
  await migrated
  const { rows } = await pool.query("select from pg_indexes where indexname = 'events_errors'")
  assert.equal(rows.length, 1)
})
