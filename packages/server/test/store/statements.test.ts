import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TaskOrder } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import {
  artifactBytesMax,
  countArtifacts,
  getArtifact,
  listArtifacts,
  putArtifact,
} from '../../src/store/artifacts.ts'
import {
  claimDeliveries,
  insertDelivery,
  nextDeliveryAt,
  updateDelivery,
} from '../../src/store/deliveries.ts'
import { countKeys, findKeyByHash, insertKey, touchKey } from '../../src/store/keys.ts'
import { LeaseLost } from '../../src/store/lease-lost.ts'
import type { Store } from '../../src/store/open.ts'
import {
  addUsage,
  claimSession,
  currentAttempt,
  getSession,
  keepDirectory,
  leaseSlot,
  listEndedSlots,
  releaseSlot,
  setSessionStatus,
} from '../../src/store/sessions.ts'
import { getSetting, putSettingIfAbsent } from '../../src/store/settings.ts'
import type { Db } from '../../src/store/tables.ts'
import { listTasks } from '../../src/store/task-search.ts'
import {
  getTask,
  getTaskBySession,
  insertTask,
  lockTask,
  updateTask,
} from '../../src/store/tasks.ts'
import {
  appendTranscript,
  listTranscriptSubpaths,
  loadTranscript,
} from '../../src/store/transcripts.ts'
import { toJson } from '../../src/store/values.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession, makeSession } from '../support/sessions.ts'

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

const now = new Date('2026-11-24T10:00:00.000Z')

function later(ms: number): Date {
  return new Date(now.getTime() + ms)
}

async function makeTask(createdAt = now): Promise<string> {
  const order: TaskOrder = {
    type: 'custom',
    repoUrl: 'https://github.com/acme/app',
    instructions: 'Do it.\0',
    priority: 'medium',
    timeLimitMinutes: 60,
  }
  const id = newId('task', systemClock)
  const sessionId = await makeSession(store.db)
  const fixed = { type: 'custom', priority: 'medium', status: 'pending', reason: 'queued' } as const
  await insertTask(store.db, { id, sessionId, ...fixed, order, createdBy: 'key_1', now: createdAt })
  return id
}

test('a claim raises the attempt, and a claim by another node gives the slot back', async () => {
  const id = await makeSession(store.db)
  assert.deepEqual(await claimSession(store.db, { id, node: 'claim-a', now }), { attempt: 1 })
  assert.equal(await leaseSlot(store.db, { id, node: 'claim-a', slotsMax: 3 }), 1)
  assert.deepEqual(await claimSession(store.db, { id, node: 'claim-a', now }), { attempt: 2 })
  assert.equal((await getSession(store.db, id))?.slot, 1)
  assert.deepEqual(await claimSession(store.db, { id, node: 'claim-b', now }), { attempt: 3 })
  const session = await getSession(store.db, id)
  assert.deepEqual(
    [session?.status, session?.node, session?.slot, session?.attempt],
    ['running', 'claim-b', null, 3],
  )
  assert.equal(await currentAttempt(store.db, id), 3)
  assert.equal(await currentAttempt(store.db, 'sesn_none'), null)
})

test('racing sessions get different slots, the smallest that are free, until they release them', async () => {
  const node = 'slots'
  const ids = await Promise.all(Array.from({ length: 8 }, () => makeSession(store.db)))
  const slots = await Promise.all(ids.map((id) => leaseSlot(store.db, { id, node, slotsMax: 8 })))
  assert.deepEqual(
    slots.toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8],
  )
  const next = await makeSession(store.db)
  await assert.rejects(leaseSlot(store.db, { id: next, node, slotsMax: 8 }), /no slot of 8 is free/)
  const third = ids[slots.indexOf(3)] ?? ''
  assert.equal(await leaseSlot(store.db, { id: third, node, slotsMax: 8 }), 3, 'it keeps its own')
  await setSessionStatus(store.db, { id: third, status: 'terminated', now })
  const ended = () => listEndedSlots(store.db, { node, keptMax: 1 })
  assert.deepEqual(await ended(), [{ id: third, slot: 3, kept_at: null }])
  await assert.rejects(leaseSlot(store.db, { id: next, node, slotsMax: 8 }), /no slot of 8 is free/)
  await releaseSlot(store.db, { id: third, node, slot: 3, status: 'terminated' })
  assert.deepEqual(await ended(), [])
  assert.equal(await leaseSlot(store.db, { id: next, node, slotsMax: 8 }), 3)
  await assert.rejects(leaseSlot(store.db, { id: third, node, slotsMax: 99 }), /no slot/)
})

test('kept directories keep their slots, the newest of them', async () => {
  const node = 'node-kept'
  const ids = await Promise.all([1, 2, 3, 4].map(() => makeSession(store.db)))
  for (const [n, id] of ids.entries()) {
    await leaseSlot(store.db, { id, node, slotsMax: 8 })
    await keepDirectory(store.db, { id, now: new Date(1_000_000 + n) })
    await setSessionStatus(store.db, { id, status: 'terminated', now })
  }
  const ended = await listEndedSlots(store.db, { node, keptMax: 2 })
  assert.deepEqual(ended.map(({ id }) => id).sort(), ids.slice(0, 2).sort())
  assert.deepEqual((await listEndedSlots(store.db, { node, keptMax: 4 })).length, 0)
})

test('usage is summed, and what is added again at once changes nothing', async () => {
  const { sessionId } = await makeClaimedSession(store.db)
  const usage = {
    input_tokens: 1,
    output_tokens: 2,
    cache_read_input_tokens: 3,
    cache_creation_input_tokens: 4,
  }
  const spend = (id: string) => addUsage(store.db, { id, sessionId, usage, costUsd: 0.000_001 })
  for (const id of ['req_1', 'req_1', 'req_2', 'req_3', 'req_3']) await spend(id)
  const session = await getSession(store.db, sessionId)
  assert.equal(session?.cost_usd, 0.000_003)
  assert.deepEqual(session?.usage, {
    input_tokens: 3,
    output_tokens: 6,
    cache_read_input_tokens: 9,
    cache_creation_input_tokens: 12,
  })
})

test('a session status with an attempt is fenced', async () => {
  const { sessionId: id, attempt } = await makeClaimedSession(store.db)
  const set = (by: number) => setSessionStatus(store.db, { id, status: 'idle', now, attempt: by })
  assert.equal(await set(attempt - 1), false)
  assert.equal((await getSession(store.db, id))?.status, 'running')
  assert.equal(await set(attempt), true)
  assert.equal((await getSession(store.db, id))?.status, 'idle')
})

test('a task is patched field by field, and text that PostgreSQL refuses is mended', async () => {
  const id = await makeTask()
  assert.equal((await getTask(store.db, id))?.order.instructions, 'Do it.\ufffd')
  await updateTask(store.db, id, { status: 'running', reason: 'agent', startedAt: now })
  await updateTask(store.db, id, { message: 'a\0b', progress: { step: 1 } })
  await updateTask(store.db, id, {})
  const error = { reason: 'stalled', message: 'm', next: 'n' } as const
  const task = await updateTask(store.db, id, { error })
  assert.deepEqual(
    [task.status, task.reason, task.message, task.started_at, task.progress, task.error],
    ['running', 'agent', 'a\ufffdb', now, { step: 1 }, error],
  )
  assert.equal((await getTaskBySession(store.db, task.session_id))?.id, id)
  const locked = await store.db.transaction().execute((trx) => lockTask(trx, id))
  assert.equal(locked?.id, id)
  await assert.rejects(updateTask(store.db, 'task_none', {}))
})

test('tasks are listed newest first, page by page, also those of one moment', async () => {
  const made = [await makeTask(later(1)), await makeTask(later(2)), await makeTask(later(2))]
  const first = await listTasks(store.db, { limit: 2 })
  assert.deepEqual(
    first.map((task) => task.id),
    made.slice(1).toSorted().toReversed(),
  )
  const second = await listTasks(store.db, {
    limit: 1,
    after: { createdAt: later(2), id: first[1]?.id ?? '' },
  })
  assert.equal(second[0]?.id, made[0])
})

test('an artifact comes back in pieces, and a new one takes its name', async () => {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  const put = (name: string, data: Buffer) =>
    putArtifact(store.db, {
      sessionId,
      attempt,
      name,
      contentType: 'text/plain',
      data,
      createdBy: null,
      now,
    })
  const data = Buffer.alloc(3 * 1024 * 1024 + 5, 'abcdefg')
  await put('b', Buffer.from('old'))
  const old = await getArtifact(store.db, { sessionId, name: 'b' })
  await put('b', data)
  await put('a', Buffer.alloc(0))
  const found = await getArtifact(store.db, { sessionId, name: 'b' })
  assert.ok(found)
  const pieces = await Array.fromAsync(found.read())
  assert.ok(pieces.length > 10)
  assert.ok(Buffer.concat(pieces).equals(data))
  assert.equal(found.meta.bytes, data.length)
  assert.ok(old)
  await assert.rejects(Array.fromAsync(old.read()), /was replaced while it was read/)
  const all = await listArtifacts(store.db, { sessionId, limit: 10 })
  assert.deepEqual(Object.fromEntries(all.map((artifact) => [artifact.name, artifact.bytes])), {
    a: 0,
    b: data.length,
  })
  const count = (prefix: string, except: string) =>
    countArtifacts(store.db, { sessionId, prefix, except })
  assert.deepEqual(await count('', 'a'), { count: 1, bytes: data.length })
  assert.deepEqual(await count('b', 'b'), { count: 0, bytes: 0 })
  assert.equal(await getArtifact(store.db, { sessionId, name: 'c' }), null)
  await assert.rejects(put('large', Buffer.alloc(artifactBytesMax + 1)), RangeError)
})

test('a transcript comes back deep-equal and in order, each uuid once', async () => {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  const key = { projectKey: 'p', conversationId: 'c', subpath: '' }
  const of = { sessionId, conversationId: 'c', subpath: '' }
  assert.equal(await loadTranscript(store.db, of), null)
  const one = { uuid: 'u1', z: 1, a: 'nul \0 half \ud800', list: [null, { deep: true }] }
  const two = { type: 'title', text: 'no uuid' }
  await appendTranscript(store.db, { sessionId, attempt, key, entries: [one, two] })
  await appendTranscript(store.db, { sessionId, attempt, key, entries: [one, two] })
  assert.deepEqual(await loadTranscript(store.db, of), [one, two, two])
  const sub = { ...key, subpath: 'subagents/x' }
  await appendTranscript(store.db, { sessionId, attempt, key: sub, entries: [one] })
  assert.deepEqual(await listTranscriptSubpaths(store.db, of), ['subagents/x'])
})

test('a transcript is not written by an attempt that lost the session', async () => {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  await claimSession(store.db, { id: sessionId, node: 'other', now })
  const key = { projectKey: 'p', conversationId: 'c', subpath: '' }
  await assert.rejects(
    appendTranscript(store.db, { sessionId, attempt, key, entries: [{ uuid: 'u' }] }),
    LeaseLost,
  )
  assert.equal(await loadTranscript(store.db, { sessionId, ...key }), null)
})

test('a due delivery is taken by one sender, and an id is stored once', async () => {
  const sessionId = await makeSession(store.db)
  const insert = (id: string, nextTryAt: Date) =>
    insertDelivery(store.db, {
      id,
      sessionId,
      taskId: null,
      attempt: null,
      type: 'task.completed',
      url: 'https://example.com',
      body: '{}',
      nextTryAt,
      createdBy: null,
      now,
    })
  await insert('dlv_b', later(2))
  await insert('dlv_a', later(1))
  await insert('dlv_a', later(9))
  assert.deepEqual(await nextDeliveryAt(store.db), later(1))
  const claim = async (db: Db): Promise<string[]> => {
    const o = {
      now: later(5),
      until: later(65),
      limit: 10,
      perEndpoint: 10,
      perOrigin: 10,
      underWay: [],
      node: store.node,
    }
    return (await claimDeliveries(db, o)).map(({ id }) => id).sort()
  }
  await store.db.transaction().execute(async (trx) => {
    assert.deepEqual(await claim(trx), ['dlv_a', 'dlv_b'])
    assert.deepEqual(await claim(store.db), [])
    await updateDelivery(trx, 'dlv_a', { deliveredAt: later(5), tries: 1, lastStatus: 200 })
    await updateDelivery(trx, 'dlv_b', { tries: 1, nextTryAt: later(60), lastError: 'refused\0' })
  })
  assert.deepEqual(await nextDeliveryAt(store.db), later(60))
  await updateDelivery(store.db, 'dlv_b', { gaveUpAt: later(61) })
  assert.equal(await nextDeliveryAt(store.db), null)
})

test('a key is found by its hash until it is revoked, and its use is noted to the minute', async () => {
  const key = { id: 'key_1', hash: 'h', name: 'n', scopes: ['tasks'], createdBy: null, now }
  assert.equal(await insertKey(store.db, key), true)
  assert.equal(await insertKey(store.db, { ...key, id: 'key_2' }), false)
  assert.equal(await countKeys(store.db), 1)
  await touchKey(store.db, { id: 'key_1', now: later(1000) })
  await touchKey(store.db, { id: 'key_1', now: later(2000) })
  const found = await findKeyByHash(store.db, 'h')
  assert.deepEqual(
    [found?.id, found?.scopes, found?.last_used_at],
    ['key_1', ['tasks'], later(1000)],
  )
  await store.db.updateTable('keys').set({ revoked_at: now }).execute()
  assert.equal(await findKeyByHash(store.db, 'h'), undefined)
  assert.equal(await countKeys(store.db), 0)
})

test('of racing first values of a setting one counts for all', async () => {
  const values = await Promise.all(
    ['a', 'b', 'c'].map((value) => putSettingIfAbsent(store.db, 'secret', value)),
  )
  assert.equal(new Set(values).size, 1)
  assert.equal(await getSetting(store.db, 'secret'), values[0])
  assert.equal(await getSetting(store.db, 'none'), null)
})

test('JSON for the database keeps escapes and replaces what it refuses', async () => {
  const value = {
    nul: '\0',
    half: '\ud800x\udc00',
    pair: '😀',
    text: '\\u0000 \\\\ud800',
    esc: '\u001b',
  }
  const { rows } = await store.pool.query<{ v: unknown }>('select $1::jsonb as v', [toJson(value)])
  assert.deepEqual(rows[0]?.v, { ...value, nul: '\ufffd', half: '\ufffdx\ufffd' })
  assert.throws(() => toJson(undefined), TypeError)
})
