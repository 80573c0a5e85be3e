/** Endpoints of one task: their bound, and what becomes of them when the task is deleted meanwhile. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Delivery } from '@longhaul/client/contract'
import { sql } from 'kysely'
import { judgeEndpoint } from '../../src/delivery/failing.ts'
import { createKey } from '../../src/http/first-key.ts'
import { updateDelivery } from '../../src/store/deliveries.ts'
import { until } from '../support/until.ts'
import { type Made, type OutboxStage, openStage } from './outbox-stage.ts'

let stage: OutboxStage
before(async () => {
  stage = await openStage()
})
after(() => stage[Symbol.asyncDispose]())

const blocked = (count: number) =>
  until(`${count} to wait for a lock`, async () => {
    const text = 'select distinct pid from pg_locks where not granted'
    return (await stage.server.store.pool.query(text)).rows.length >= count
  })

async function endedTask(): Promise<string> {
  const { id } = await stage.server.order()
  await stage.ask(200, 'POST', `/v1/tasks/${id}/cancel`)
  return id
}

const body = (taskId: string) => ({ url: 'https://hooks.example/', task_id: taskId })

test('a task has at most five endpoints, whichever keys ask for the last at once', async () => {
  const { server, clock, ask } = stage
  const { id } = await server.order()
  for (let n = 0; n < 4; n += 1) await ask(201, 'POST', '/v1/endpoints', { body: body(id) })
  const { rows } = await server.store.pool.query('select scopes from keys limit 1')
  const key = await createKey({ store: server.store, clock }, { name: 'other', ...rows[0] })
  const other = { body: body(id), headers: { authorization: `Bearer ${key}` } }
  const answers = await server.store.db.transaction().execute(async (trx) => {
    // They count, but neither is written before both have had their turn.
    await sql`lock table endpoints in share row exclusive mode`.execute(trx)
    const asked = [{ body: body(id) }, other].map((o) => server.send('POST', '/v1/endpoints', o))
    await blocked(2)
    return asked
  })
  const codes = (await Promise.all(answers)).map(({ status }) => status)
  assert.deepEqual(codes.sort(), [201, 409])
})

test('an endpoint of a task that is deleted just then is answered 404', async () => {
  const { server, ask } = stage
  const { id, session_id: sessionId } = await server.order()
  let asked: Promise<unknown> = Promise.resolve()
  await server.store.db.transaction().execute(async (trx) => {
    await trx.deleteFrom('sessions').where('id', '=', sessionId).execute()
    asked = ask(404, 'POST', '/v1/endpoints', { body: body(id) })
    await Promise.race([asked, blocked(1)])
  })
  await asked
})

test('the answer with an endpoint’s secret goes with its task', async () => {
  const { server, ask } = stage
  const id = await endedTask()
  const headers = { 'idempotency-key': 'of-a-task' }
  const made = await server.send('POST', '/v1/endpoints', { body: body(id), headers })
  const { secret } = (await made.json()) as Made
  const stored = async () => {
    const { rows } = await server.store.pool.query(
      'select 1 from idempotency_keys where strpos(response, $1) > 0',
      [secret],
    )
    return rows.length
  }
  assert.equal(await stored(), 1)
  await ask(200, 'DELETE', `/v1/tasks/${id}`)
  assert.equal(await stored(), 0)
})

test('a task can be deleted while a try to tell its endpoint ends', async () => {
  const { server, ask, clock } = stage
  const { id: taskId } = await server.order()
  const endpoint = await stage.endpoint({ task_id: taskId })
  await ask(200, 'POST', `/v1/tasks/${taskId}/cancel`)
  const path = `/v1/endpoints/${endpoint.id}/deliveries`
  const [delivery] = (await ask<{ data: Delivery[] }>(200, 'GET', path)).data
  assert.ok(delivery)
  let deleted: Promise<unknown> = Promise.resolve()
  await server.store.db.transaction().execute(async (trx) => {
    // A deadlock is found at once, and by this one.
    await sql`set local deadlock_timeout = '10ms'`.execute(trx)
    const now = new Date(clock.now())
    const verdict = { outcome: 'retried', gone: false } as const
    await judgeEndpoint(trx, { id: endpoint.id, event: delivery.event, verdict, now })
    deleted = ask(200, 'DELETE', `/v1/tasks/${taskId}`)
    await blocked(1)
    await updateDelivery(trx, delivery.id, { lastStatus: 500 })
  })
  await deleted
  await ask(404, 'GET', `/v1/endpoints/${endpoint.id}`)
})
