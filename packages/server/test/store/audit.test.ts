import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { listAudit } from '../../src/store/audit.ts'
import { AuditWriter } from '../../src/store/audit-writer.ts'
import type { Store } from '../../src/store/open.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
const kind = 'gateway'
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

test('entries are stored in order as one chain per writer, whose hashes anybody can make again', async () => {
  const sessionId = 'sesn_chain'
  {
    await using first = new AuditWriter({ store, clock, log })
    await using second = new AuditWriter({ store, clock, log })
    for (let n = 0; n < 450; n += 1)
      first.append({ sessionId, kind, entry: { z: 1.5e-7, n, 'ä\u0000': ['\ud800', null] } })
    second.append({ sessionId, kind, entry: {} })
  }
  const rows = await listAudit(store.db, { sessionId, after: 0, limit: 1000 })
  const writers = Map.groupBy(rows, ({ writer }) => writer)
  assert.deepEqual(
    [...writers.values()].map(({ length }) => length).sort((a, b) => b - a),
    [450, 1],
  )
  for (const chain of writers.values()) {
    let before = '0'.repeat(64)
    for (const [at, row] of chain.entries()) {
      assert.equal(row.seq, at + 1)
      assert.equal(row.prev_hash, before)
      assert.equal(row.hash, hashedAgain(row))
      before = row.hash
    }
  }
})

/** As the docstring of `auditHash` says, by other means. */
function hashedAgain(row: Awaited<ReturnType<typeof listAudit>>[number]): string {
  const { hash: _, position: __, at, ...rest } = row
  const sorted = (_key: string, value: unknown): unknown =>
    typeof value !== 'object' || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  const text = JSON.stringify({ ...rest, at: at.toISOString() }, sorted)
  return createHash('sha256').update(text).digest('hex')
}

test('while the database is away the writer falls behind; then everything is stored, once', async () => {
  const manual = new ManualClock()
  const sessionId = 'sesn_away'
  let away = true
  const failing = {
    node: 'n',
    get db() {
      assert.ok(!away, 'the database is away')
      return store.db
    },
  }
  await using writer = new AuditWriter({ store: failing, clock: manual, log })
  for (let n = 0; n < 3; n += 1) writer.append({ sessionId, kind, entry: { n } })
  manual.advance(200)
  assert.equal(writer.isBehind, false)
  await until('it waits to try again', () => manual.pending > 0)
  manual.advance(10_000)
  assert.equal(writer.isBehind, true)
  away = false
  await until('the entries are stored', async () => {
    manual.advance(500)
    return !writer.isBehind
  })
  await writer.flush()
  const rows = await listAudit(store.db, { sessionId, after: 0, limit: 10 })
  assert.deepEqual(
    rows.map(({ entry }) => entry['n']),
    [0, 1, 2],
  )
})
