import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { appendEvents } from '../../src/events/append.ts'
import { putArtifact } from '../../src/store/artifacts.ts'
import { updateDelivery } from '../../src/store/deliveries.ts'
import { claimSession, leaseSlot, listEndedSlots, releaseSlot } from '../../src/store/sessions.ts'
import { updateTask } from '../../src/store/tasks.ts'
import { appendTranscript } from '../../src/store/transcripts.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openTestApp, order, type TestApp } from './fixture.ts'

const callback_url = 'https://example.com/done'

let server: TestApp
let clock: ManualClock
before(async () => {
  clock = new ManualClock()
  server = await openTestApp({ clock })
})
after(() => server[Symbol.asyncDispose]())

async function ask(status: number, method: string, path: string) {
  const answer = await server.send(method, path)
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return JSON.parse(text)
}

/** A task that was cancelled after it had left something in every table. */
async function ended(given: object = {}) {
  const made = await server.order({ callback_url, ...given })
  const sessionId = made.session_id
  const { db } = server.store
  const now = new Date(clock.now())
  const { attempt } = await claimSession(db, { id: sessionId, node: 'a', now })
  await putArtifact(db, {
    ...{ sessionId, attempt, name: 'report.md', contentType: 'text/markdown' },
    ...{ data: Buffer.from('Done.'), createdBy: null, now },
  })
  await appendTranscript(db, {
    ...{ sessionId, attempt, entries: [{ uuid: '1' }] },
    key: { projectKey: 'p', conversationId: 'c', subpath: '' },
  })
  await ask(200, 'POST', `/v1/tasks/${made.id}/cancel`)
  return { id: made.id, sessionId }
}

/** Tables that still say something of it. */
async function traces({ id, sessionId }: { id: string; sessionId: string }): Promise<string[]> {
  const { rows: tables } = await server.store.pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables
     where table_schema = 'public' and table_type = 'BASE TABLE' order by table_name`,
  )
  const found: string[] = []
  for (const { name } of tables) {
    const { rows } = await server.store.pool.query(
      `select 1 from "${name}" as row where row::text like any($1)`,
      [[`%${id}%`, `%${sessionId}%`]],
    )
    if (rows.length > 0) found.push(name)
  }
  return found
}

async function deliveries(): Promise<{ id: string; session_id: string | null; body: string }[]> {
  return server.store.db.selectFrom('deliveries').select(['id', 'session_id', 'body']).execute()
}

test('an ended task is deleted with everything that was recorded of it', async () => {
  const task = await ended()
  const [delivery] = await deliveries()
  await updateDelivery(server.store.db, delivery?.id ?? '', { deliveredAt: new Date() })
  const before = await traces(task)
  for (const table of ['artifacts', 'deliveries', 'events', 'sessions', 'tasks'])
    assert.ok(before.includes(table), table)
  assert.ok(before.includes('transcript_entries'))
  const gone = await ask(200, 'DELETE', `/v1/tasks/${task.id}`)
  assert.deepEqual(gone, { id: task.id, type: 'task_deleted' })
  assert.deepEqual(await traces(task), [])
  for (const path of [
    `/v1/tasks/${task.id}`,
    `/api/workflows/${task.id}`,
    `/v1/tasks/${task.id}/artifacts/report.md`,
    `/v1/sessions/${task.sessionId}/events`,
  ])
    await ask(404, 'GET', path)
  await ask(404, 'DELETE', `/v1/tasks/${task.id}`)
  await ask(404, 'POST', `/v1/tasks/${task.id}/cancel`)
  await ask(404, 'POST', `/v1/tasks/${task.id}/retry`)
})

test('a session that is over is deleted with its task, and no other', async () => {
  const task = await ended({ callback_url: undefined })
  const other = await server.order()
  const path = `/v1/sessions/${task.sessionId}`
  assert.deepEqual(await ask(200, 'DELETE', path), {
    ...{ id: task.sessionId, type: 'session_deleted' },
  })
  assert.deepEqual(await traces(task), [])
  await ask(404, 'GET', path)
  await ask(404, 'DELETE', path)
  const refused = await ask(409, 'DELETE', `/v1/sessions/${other.session_id}`)
  assert.equal(refused.error.details.error_code, 'session_not_terminated')
  await ask(200, 'GET', `/v1/tasks/${other.id}`)
})

test('a callback that is still to be delivered is, and goes then', async () => {
  const task = await ended()
  await ask(200, 'DELETE', `/v1/tasks/${task.id}`)
  const [pending] = await deliveries()
  assert.equal(pending?.session_id, null)
  assert.equal(JSON.parse(pending?.body ?? '').data.id, task.id)
  assert.deepEqual(await traces(task), ['deliveries'])
  await updateDelivery(server.store.db, pending?.id ?? '', { tries: 1, nextTryAt: new Date() })
  assert.equal((await deliveries()).length, 1)
  await updateDelivery(server.store.db, pending?.id ?? '', { gaveUpAt: new Date() })
  assert.deepEqual(await deliveries(), [])
})

test('a session whose files are left holds its slot, unseen, until they are gone', async () => {
  const task = await ended()
  const { db } = server.store
  const slots = { node: 'b', keptMax: 1 }
  const lease = { id: task.sessionId, node: 'b', slotsMax: 5 }
  await db
    .updateTable('sessions')
    .where('id', '=', task.sessionId)
    .set({ status: 'idle' })
    .execute()
  const slot = await leaseSlot(db, lease)
  const kept = { status: 'terminated' as const, kept_at: new Date() }
  await db.updateTable('sessions').where('id', '=', task.sessionId).set(kept).execute()
  assert.deepEqual(await listEndedSlots(db, slots), [])
  await ask(200, 'DELETE', `/v1/tasks/${task.id}`)
  for (const path of ['', '/events']) await ask(404, 'GET', `/v1/sessions/${task.sessionId}${path}`)
  await ask(404, 'POST', `/v1/sessions/${task.sessionId}/archive`)
  const { data } = await ask(200, 'GET', '/v1/sessions?include_archived=true&limit=100')
  assert.ok(data.every(({ id }: { id: string }) => id !== task.sessionId))
  const held = await listEndedSlots(db, slots)
  assert.deepEqual(held, [{ id: task.sessionId, slot, kept_at: null }])
  const { session_id } = await server.order()
  assert.notEqual(await leaseSlot(db, { ...lease, id: session_id }), slot)
  await releaseSlot(db, { id: task.sessionId, node: lease.node, slot, status: 'terminated' })
  assert.deepEqual(await listEndedSlots(db, slots), [])
  const { rows } = await server.store.pool.query(
    'select from sessions where deleted_at is not null',
  )
  assert.equal(rows.length, 0)
})

test('a repeat of the order of a deleted task is told so, and makes none', async () => {
  const headers = { 'idempotency-key': 'deleted' }
  const send = (body: object) => server.send('POST', '/v1/tasks', { headers, body })
  const { id } = JSON.parse(await (await send(order)).text())
  await updateTask(server.store.db, id, { status: 'completed', reason: 'done' })
  const other = await ended()
  await ask(200, 'DELETE', `/v1/tasks/${other.id}`)
  assert.equal((await send(order)).headers.get('idempotency-replayed'), 'true')
  await ask(200, 'DELETE', `/v1/tasks/${id}`)
  const { total } = await ask(200, 'GET', '/v1/tasks')
  const answer = await send(order)
  assert.equal(answer.status, 409)
  assert.equal(answer.headers.get('x-should-retry'), 'false')
  assert.equal(JSON.parse(await answer.text()).error.details.error_code, 'task_deleted')
  const reused = await send({ ...order, priority: 'low' })
  assert.equal(JSON.parse(await reused.text()).error.details.error_code, 'idempotency_key_reused')
  assert.equal((await ask(200, 'GET', '/v1/tasks')).total, total)
})

test('what repeats a deleted task still names it', async () => {
  const { id } = await ended()
  const answer = await server.send('POST', `/v1/tasks/${id}/retry`)
  const repeat = JSON.parse(await answer.text())
  await ask(200, 'DELETE', `/v1/tasks/${id}`)
  assert.equal((await ask(200, 'GET', `/v1/tasks/${repeat.id}`)).retry_of, id)
})

test('deleting and retrying one task may race: either is whole', async () => {
  const tasks = await Promise.all(Array.from({ length: 10 }, () => ended()))
  const answers = await Promise.all(
    tasks.flatMap(({ id }) => [
      server.send('POST', `/v1/tasks/${id}/retry`),
      server.send('DELETE', `/v1/tasks/${id}`),
      server.send('DELETE', `/v1/tasks/${id}`),
    ]),
  )
  assert.ok(answers.every(({ status }) => [200, 201, 404].includes(status)))
  assert.equal(answers.filter(({ status }) => status === 200).length, 10)
})

test('what a late attempt still writes about a deleted task is refused', async () => {
  const { id, sessionId } = await ended()
  await ask(200, 'DELETE', `/v1/tasks/${id}`)
  const events = [{ type: 'agent.message' }]
  const late = appendEvents(server.store.db, { sessionId, attempt: 1, clock, events })
  await assert.rejects(late, { name: 'LeaseLost' })
})
