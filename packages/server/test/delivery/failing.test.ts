/** An endpoint that nothing arrives at is not tried for ever. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Delivery, Endpoint } from '@longhaul/client/contract'
import type { DeliverySender } from '../../src/delivery/sender.ts'
import { reportProgress } from '../../src/tasks/report-progress.ts'
import { until } from '../support/until.ts'
import { type Made, type OutboxStage, openStage, steps } from './outbox-stage.ts'

const fiveDays = 5 * 24 * 3_600_000
const failing = () => ({ status: 500 })
const well = () => ({ status: 200 })
let stage: OutboxStage
before(async () => {
  stage = await openStage()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(async () => {
  await stage.clear()
  stage.receiver.answer = failing
})

const read = ({ id }: Made) => stage.ask<Endpoint>(200, 'GET', `/v1/endpoints/${id}`)
const change = ({ id }: Made, body: object) =>
  stage.ask<Endpoint>(200, 'POST', `/v1/endpoints/${id}`, { body })

async function count({ id }: Made, status: Delivery['status']): Promise<number> {
  const path = `/v1/endpoints/${id}/deliveries?status=${status}&limit=100`
  return (await stage.ask<{ data: Delivery[] }>(200, 'GET', path)).data.length
}

/** Deliveries that are given up after one try: progress of as many tasks. */
async function giveUp(
  endpoint: Made,
  sender: DeliverySender,
  times: number,
  dead = times,
): Promise<void> {
  const { server, clock } = stage
  const before = await count(endpoint, 'dead')
  for (let n = 0; n < times; n += 1) {
    const { id: taskId } = await server.order()
    const report = { taskId, attempt: 0, progress: { message: 'on' }, clock }
    await server.store.db.transaction().execute((trx) => reportProgress(trx, report))
  }
  sender.poke()
  await until(`${dead} to be given up`, async () => {
    return (await count(endpoint, 'dead')) === before + dead
  })
}

test('where nothing arrived for five days the endpoint is disabled, and told again once it is enabled', async () => {
  const endpoint = await stage.endpoint()
  await using sender = stage.sender()
  const since = new Date(stage.clock.now()).toISOString()
  await giveUp(endpoint, sender, 10)
  assert.equal((await read(endpoint)).failing_since, since)
  stage.clock.advance(fiveDays - 1)
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  sender.poke()
  await until('its first try', () => stage.receiver.received.length === 11)
  await giveUp(endpoint, sender, 1)
  const before = await read(endpoint)
  assert.deepEqual([before.disabled_at, before.failing_since], [null, since])

  stage.clock.advance(1)
  const at = new Date(stage.clock.now()).toISOString()
  // Besides it, what waited.
  await giveUp(endpoint, sender, 1, 2)
  const { disabled_at, disabled_reason } = await read(endpoint)
  assert.deepEqual([disabled_at, disabled_reason], [at, 'failing'])
  const waited = await stage.delivery(endpoint, 'task.started', ({ status }) => status === 'dead')
  assert.equal(waited.last_error, 'the endpoint was disabled')
  const told = stage.receiver.received.length
  await stage.step(id, steps.waiting)
  assert.equal(await count(endpoint, 'pending'), 0, 'nothing is written for it')

  stage.receiver.answer = well
  const enabled = await change(endpoint, { disabled: false })
  assert.deepEqual([enabled.disabled_reason, enabled.failing_since], [null, null])
  await stage.ask(200, 'POST', `/v1/deliveries/${waited.id}/redeliver`)
  sender.poke()
  await stage.delivery(endpoint, 'task.started', ({ status }) => status === 'delivered')
  assert.equal(stage.receiver.received.length, told + 1)
})

test('few deliveries, one that arrives in between, or another address, and the endpoint stays', async () => {
  const endpoint = await stage.endpoint()
  await using sender = stage.sender()
  const sinceNow = () => new Date(stage.clock.now()).toISOString()
  await giveUp(endpoint, sender, 9)
  stage.clock.advance(fiveDays)
  // Whoever tries it out gives up nothing that anybody is told.
  await stage.ask(201, 'POST', `/v1/endpoints/${endpoint.id}/test`)
  sender.poke()
  await until('the test to fail', async () => (await count(endpoint, 'dead')) === 10)
  assert.equal((await read(endpoint)).disabled_at, null)

  stage.receiver.answer = well
  await stage.ask(201, 'POST', `/v1/endpoints/${endpoint.id}/test`)
  sender.poke()
  await until('a test to arrive', async () => (await count(endpoint, 'delivered')) === 1)
  assert.equal((await read(endpoint)).failing_since, null)
  stage.receiver.answer = failing
  await giveUp(endpoint, sender, 9)
  const again = await read(endpoint)
  assert.deepEqual([again.disabled_at, again.failing_since], [null, sinceNow()])

  stage.clock.advance(fiveDays)
  const { url } = await change(endpoint, { url: `${endpoint.url}moved` })
  assert.match(url, /moved$/)
  await giveUp(endpoint, sender, 1)
  const moved = await read(endpoint)
  assert.deepEqual([moved.disabled_at, moved.failing_since], [null, sinceNow()])
})

test('a request is the last word about an endpoint that failed', async () => {
  const endpoint = await stage.endpoint()
  await using sender = stage.sender()
  await giveUp(endpoint, sender, 9)
  stage.clock.advance(fiveDays)
  await giveUp(endpoint, sender, 1)
  const failed = await read(endpoint)
  assert.equal(failed.disabled_reason, 'failing')
  const asked = await change(endpoint, { disabled: true })
  assert.equal(asked.disabled_reason, 'requested')
  assert.equal(asked.disabled_at, failed.disabled_at)
})
