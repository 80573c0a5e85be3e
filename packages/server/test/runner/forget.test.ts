/** What is older than it is kept for goes, whatever else happens to it just then. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { uuidOf } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { forget } from '../../src/runner/forget.ts'
import { removeRecordings } from '../../src/store/retention.ts'
import { openTestApp, type TestApp } from '../http/fixture.ts'
import { until } from '../support/until.ts'

const mib = 1024 ** 2
const { signal } = new AbortController()
let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())
beforeEach(() => sql('truncate sessions cascade'))

const sql = (text: string, values: unknown[] = []) => server.store.pool.query(text, values)

interface Ended {
  readonly daysAgo: number
  /** Sizes, as their rows say. */
  readonly artifactsMib?: readonly number[]
  readonly entries?: number
}

/** A task that ended so long ago, with a conversation and artifacts, which have less content than they say. */
async function endedTask({ daysAgo, artifactsMib = [1], entries = 3 }: Ended) {
  const { id, session_id: sessionId } = await server.order()
  await sql('delete from pgboss.job where singleton_key = $1', [sessionId])
  const ago = `${daysAgo} days`
  await sql(
    `update tasks set status = 'failed', reason = 'checks_failed', started_at = created_at,
      completed_at = now() - $2::interval where id = $1`,
    [id, ago],
  )
  await sql(
    `update sessions set status = 'terminated', updated_at = now() - $2::interval where id = $1`,
    [sessionId, ago],
  )
  await sql(
    `insert into transcript_entries (session_id, attempt, project_key, conversation_id, uuid, entry)
    select $1, 1, $1, $2, 'u' || n, json_build_object('n', n) from generate_series(1, $3::int) as n`,
    [sessionId, uuidOf(sessionId), entries],
  )
  await sql(
    `insert into artifacts (id, session_id, name, content_type, bytes, created_at)
    select 'art_' || $1 || n, $1, 'a' || n, 'text/plain', bytes, now()
    from unnest($2::bigint[]) with ordinality as given (bytes, n)`,
    [sessionId, artifactsMib.map((size) => size * mib)],
  )
  return { id, sessionId }
}

/** Rows of its transcript, and its artifacts. */
async function left(sessionId: string): Promise<number[]> {
  const { rows } = await sql(
    `select (select count(*) from transcript_entries where session_id = $1) as entries,
      (select count(*) from artifacts where session_id = $1) as artifacts`,
    [sessionId],
  )
  return [rows[0].entries, rows[0].artifacts]
}

function look(settings: Record<string, string> = { RETENTION_RECORDINGS_DAYS: '30' }) {
  const log = createLog('silent')
  return forget(
    { store: server.store, config: loadConfig(settings), clock: systemClock, log },
    signal,
  )
}

async function say(id: string) {
  const body = { text: 'Go on.' }
  const answer = await server.send('POST', `/v1/tasks/${id}/messages`, { body })
  return { status: answer.status, body: JSON.parse(await answer.text()) }
}

/** Statements that wait for somebody's lock become so many. */
function waiting(count: number): Promise<void> {
  return until(`${count} statements to wait`, async () => {
    const { rows } = await sql(
      `select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return rows.length === count
  })
}

/** Has `during` happen while the removal of this session's recordings is under way. */
async function amidRemoval<T>(sessionId: string, during: () => Promise<T>): Promise<T> {
  const holder = await server.store.pool.connect()
  try {
    await holder.query('begin')
    await holder.query('select 1 from artifacts where session_id = $1 for update', [sessionId])
    const looking = look()
    await waiting(1)
    const outcome = await during()
    await holder.query('commit')
    await looking
    return outcome
  } finally {
    holder.release()
  }
}

test('a task that a message reopens while others lose their recordings keeps its own', async () => {
  const first = await endedTask({ daysAgo: 50 })
  const second = await endedTask({ daysAgo: 40 })
  const recent = await endedTask({ daysAgo: 20 })
  const { status, body } = await amidRemoval(first.sessionId, () => say(second.id))
  assert.deepEqual([status, body.reopened], [201, true])
  assert.deepEqual(await left(first.sessionId), [0, 0])
  assert.deepEqual(await left(second.sessionId), [3, 1])
  assert.deepEqual(await left(recent.sessionId), [3, 1])
})

test('a message to a task whose recordings are just being removed is refused, and says why', async () => {
  const { id, sessionId } = await endedTask({ daysAgo: 40 })
  // It is answered once the removal lets go.
  const answer = await amidRemoval(sessionId, async () => {
    const answering = say(id)
    await waiting(2)
    return { answering }
  })
  const { status, body } = await answer.answering
  assert.deepEqual([status, body.error.details.error_code], [409, 'no_conversation'])
  assert.match(body.error.message, /What was recorded of this task.* is gone; order it again/)
  assert.deepEqual(await left(sessionId), [0, 0])
  const { rows } = await sql('select status from tasks where id = $1', [id])
  assert.equal(rows[0].status, 'failed')
})

test('a session that somebody holds keeps its recordings, and nobody waits for it', async () => {
  const held = await endedTask({ daysAgo: 50 })
  const other = await endedTask({ daysAgo: 40 })
  const holder = await server.store.pool.connect()
  await holder.query('begin')
  await holder.query('select 1 from sessions where id = $1 for no key update', [held.sessionId])
  await look()
  await holder.query('commit')
  holder.release()
  assert.deepEqual(await left(held.sessionId), [3, 1])
  assert.deepEqual(await left(other.sessionId), [0, 0])
  await look()
  assert.deepEqual(await left(held.sessionId), [0, 0])
})

test('recordings of a large session go piece by piece, and are not gone on with from the first on', async () => {
  const { id, sessionId } = await endedTask({
    daysAgo: 40,
    artifactsMib: [40, 24, 1, 64, 1],
    entries: 1001,
  })
  const o = { sessionId, endedBefore: new Date(), now: new Date() }
  const piece = () => removeRecordings(server.store.db, o)
  assert.deepEqual([await piece(), await left(sessionId)], ['more', [1, 3]])
  assert.equal((await say(id)).body.error.details.error_code, 'no_conversation')
  // An artifact that is begun goes as a whole.
  assert.deepEqual([await piece(), await left(sessionId)], ['more', [0, 1]])
  assert.deepEqual([await piece(), await left(sessionId)], ['gone', [0, 0]])
  const again = await endedTask({ daysAgo: 40, artifactsMib: Array(7).fill(64), entries: 2500 })
  await look()
  assert.deepEqual(await left(again.sessionId), [0, 0])
})

test('one that cannot be removed keeps no other from going', async () => {
  const bad = await endedTask({ daysAgo: 60 })
  const good = await endedTask({ daysAgo: 50 })
  await sql(`create function refuse() returns trigger language plpgsql as $$ begin
    raise 'a broken page'; end $$`)
  await sql(`create trigger refuse before delete on artifacts for each row
    when (old.session_id = '${bad.sessionId}') execute function refuse()`)
  try {
    await look()
    assert.deepEqual(await left(bad.sessionId), [3, 1])
    assert.deepEqual(await left(good.sessionId), [0, 0])
    const task = await endedTask({ daysAgo: 40 })
    await look({ RETENTION_RECORDINGS_DAYS: '30', RETENTION_TASKS_DAYS: '30' })
    const { rows } = await sql('select id from tasks')
    assert.deepEqual(rows, [{ id: bad.id }])
    assert.deepEqual(await left(task.sessionId), [0, 0])
  } finally {
    await sql('drop function refuse cascade')
  }
})
