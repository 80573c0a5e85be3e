/** Workers over the API: as they announce themselves, and how one is drained. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Worker } from '@longhaul/client/contract'
import { systemClock as clock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import { deleteWorker, insertWorker, touchWorker } from '../../src/store/workers.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function announced(node: string, now = new Date()): Promise<string> {
  const id = newId('worker', clock)
  const row = { id, node, host: 'vm-1', version: '1.2.3', labels: ['gpu'], slots: 4, now }
  await insertWorker(server.store.db, row)
  return id
}

async function json<T>(answer: Response, status: number): Promise<T> {
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return JSON.parse(text) as T
}

const read = async (id: string) => json<Worker>(await server.send('GET', `/v1/workers/${id}`), 200)

test('a worker is shown as it announced itself, and in place of the one before it on its node', async () => {
  const before = await announced('node-a')
  const id = await announced('node-a')
  await touchWorker(server.store.db, { id, running: 3, now: new Date() })
  const { started_at: _, last_seen_at: __, ...shown } = await read(id)
  assert.deepEqual(shown, {
    ...{ type: 'worker', id, status: 'working', host: 'vm-1', version: '1.2.3', labels: ['gpu'] },
    ...{ slots: 4, running: 3, draining_since: null },
  })
  assert.equal((await server.send('GET', `/v1/workers/${before}`)).status, 404)
  const { data } = await json<{ data: Worker[] }>(await server.send('GET', '/v1/workers'), 200)
  assert.deepEqual(
    data.map((worker) => worker.id),
    [id],
  )
  await deleteWorker(server.store.db, id)
})

test('a worker that is drained is draining until it says that nothing runs', async () => {
  const id = await announced('node-b')
  const { db } = server.store
  await touchWorker(db, { id, running: 1, now: new Date() })
  const path = `/v1/workers/${id}/drain`
  const drained = await json<Worker>(await server.send('POST', path), 200)
  assert.equal(drained.status, 'draining')
  assert.deepEqual(
    await touchWorker(db, { id, running: 1, now: new Date() }).then((row) => row?.hand_back),
    false,
  )
  const again = await json<Worker>(
    await server.send('POST', path, { body: { hand_back: true } }),
    200,
  )
  assert.equal(again.draining_since, drained.draining_since)
  const later = new Date(Date.now() + 10)
  const row = await touchWorker(db, { id, running: 0, now: later })
  assert.equal(row?.hand_back, true)
  assert.equal((await read(id)).status, 'drained')
  await deleteWorker(db, id)
})

test('a worker that nobody has heard of is lost, and after an hour it is forgotten', async () => {
  const silent = await announced('node-c', new Date(Date.now() - 20_000))
  const gone = await announced('node-d', new Date(Date.now() - 3_700_000))
  assert.equal((await read(silent)).status, 'lost')
  const { data } = await json<{ data: Worker[] }>(await server.send('GET', '/v1/workers'), 200)
  assert.ok(data.some(({ id }) => id === silent) && !data.some(({ id }) => id === gone))
})

test('who may read tasks may see workers, and draining one needs workers:write', async () => {
  const id = await announced('node-e')
  const made = await server.send('POST', '/v1/keys', {
    body: { name: 'reader', scopes: ['tasks:read', 'tasks:write'] },
  })
  const { key } = await json<{ key: string }>(made, 201)
  const headers = { authorization: `Bearer ${key}` }
  assert.equal((await server.send('GET', '/v1/workers', { headers })).status, 200)
  const refused = await server.send('POST', `/v1/workers/${id}/drain`, { headers })
  assert.equal(refused.status, 403)
  assert.match(await refused.text(), /workers:write/)
  const unknown = `/v1/workers/${newId('worker', clock)}/drain`
  assert.equal((await server.send('POST', unknown)).status, 404)
  const bad = await server.send('POST', `/v1/workers/${id}/drain`, { body: { now: true } })
  assert.equal(bad.status, 400)
})
