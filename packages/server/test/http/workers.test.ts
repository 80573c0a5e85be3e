/** Workers over the API: as they announce themselves, and how one is drained. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Task, Worker } from '@longhaul/client/contract'
import { systemClock as clock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import type { Held } from '../../src/store/worker-table.ts'
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
  await touchWorker(server.store.db, { id, running: 3, held: 'disk', now: new Date() })
  const { started_at: _, last_seen_at: __, ...shown } = await read(id)
  assert.deepEqual(shown, {
    ...{ type: 'worker', id, status: 'working', host: 'vm-1', version: '1.2.3', labels: ['gpu'] },
    ...{ slots: 4, running: 3, draining_since: null, held: 'disk' },
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
  await touchWorker(db, { id, running: 1, held: null, now: new Date() })
  const path = `/v1/workers/${id}/drain`
  const drained = await json<Worker>(await server.send('POST', path), 200)
  assert.equal(drained.status, 'draining')
  assert.deepEqual(
    await touchWorker(db, { id, running: 1, held: null, now: new Date() }).then(
      (row) => row?.hand_back,
    ),
    false,
  )
  const again = await json<Worker>(
    await server.send('POST', path, { body: { hand_back: true } }),
    200,
  )
  assert.equal(again.draining_since, drained.draining_since)
  const later = new Date(Date.now() + 10)
  const row = await touchWorker(db, { id, running: 0, held: null, now: later })
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

test('a task that waits says what holds it while all workers are held that take work, and its row does not', async () => {
  const { db } = server.store
  await db.deleteFrom('workers').execute()
  const body = { type: 'refactor', repo_url: 'https://github.com/acme/app', instructions: 'Mend.' }
  const order = async () => json<Task>(await server.send('POST', '/v1/tasks', { body }), 201)
  const { id: task, message: plain } = await order()
  const said = async () => {
    const { message } = await json<Task>(await server.send('GET', `/v1/tasks/${task}`), 200)
    const { data } = await json<{ data: Task[] }>(await server.send('GET', '/v1/tasks'), 200)
    assert.equal(data.find(({ id }) => id === task)?.message, message)
    return message
  }
  const beat = (id: string, held: Held | null, now = new Date()) =>
    touchWorker(db, { id, running: 0, held, now })
  assert.equal(await said(), plain, 'no worker is there')
  const [one, other] = [await announced('node-f'), await announced('node-g')]
  await beat(one, 'disk')
  assert.equal(await said(), plain, 'the other one takes it')
  await beat(other, 'memory')
  assert.match(await said(), /^The task waits for room on the disk/)
  assert.match((await order()).message, /^The task waits for room on the disk/)
  await beat(one, 'memory')
  assert.match(await said(), /^The task waits for memory/)
  await beat(one, null)
  assert.equal(await said(), plain)
  // What takes nothing, or is not heard of any more, does not make it untrue, nor true.
  await json(await server.send('POST', `/v1/workers/${one}/drain`), 200)
  assert.match(await said(), /^The task waits for memory/)
  await beat(other, 'memory', new Date(Date.now() - 16_000))
  assert.equal(await said(), plain)
  const { rows } = await server.store.pool.query('select distinct message from tasks')
  assert.deepEqual(rows, [{ message: plain }])
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
