/** The date of a host is set while deliveries wait: they wait as long as they would have. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Delivery, Endpoint } from '@longhaul/client/contract'
import { DeliverySender } from '../../src/delivery/sender.ts'
import { createLog } from '../../src/log.ts'
import { redateDeliveries } from '../../src/store/deliveries.ts'
import { reportProgress } from '../../src/tasks/report-progress.ts'
import { until } from '../support/until.ts'
import { callbackSecret, type Made, type OutboxStage, openStage, steps } from './outbox-stage.ts'

const hour = 3_600_000
const day = 24 * hour
let stage: OutboxStage
before(async () => {
  stage = await openStage()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(async () => {
  await stage.clear()
  stage.receiver.answer = () => ({ status: 500 })
})

const received = () => stage.receiver.received
const came = (count: number) => until(`${count} calls`, () => received().length >= count)

async function all({ id }: Made): Promise<Delivery[]> {
  const path = `/v1/endpoints/${id}/deliveries?limit=100`
  return (await stage.ask<{ data: Delivery[] }>(200, 'GET', path)).data
}

/** How long each of them waits for its next try, from now on. */
async function waits(endpoint: Made): Promise<number[]> {
  const rows = await all(endpoint)
  return rows.map(({ next_try_at: at }) => Date.parse(at ?? '') - stage.clock.now())
}

/** Tasks that began, and that the endpoint refused to hear of, once each. */
async function refusedOnce(
  endpoint: Made,
  sender: DeliverySender,
  count: number,
): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; n < count; n += 1) {
    const { id } = await stage.server.order()
    await stage.step(id, steps.started)
    ids.push(id)
  }
  sender.poke()
  const isTried = ({ tries, last_error: error }: Delivery) => tries === 1 && error !== null
  await until('a try of each', async () => {
    const rows = await all(endpoint)
    return rows.length === count && rows.every(isTried)
  })
  return ids
}

for (const [name, stepMs] of [
  ['forward by a day', day],
  ['back by an hour', -hour],
] as const)
  test(`with a date that is set ${name} every retry comes when it would have, and none is dropped`, async () => {
    const endpoint = await stage.endpoint()
    await using sender = stage.sender()
    const [first = ''] = await refusedOnce(endpoint, sender, 6)
    await stage.step(first, steps.waiting)
    const before = (await waits(endpoint)).slice(1)
    stage.clock.step(stepMs)
    sender.poke()
    await until('the dates to be moved', async () => {
      const now = (await waits(endpoint)).slice(1)
      return now.every((ms, n) => ms === before[n])
    })
    stage.clock.advance(Math.min(...before) - 1)
    await stage.ask(201, 'POST', `/v1/endpoints/${endpoint.id}/test`)
    sender.poke()
    await came(7)
    assert.match(received()[6]?.body ?? '', /endpoint\.test/, 'no retry came before its time')

    stage.clock.advance(5_000)
    sender.poke()
    await came(7 + 6)
    const started = async () =>
      (await all(endpoint)).filter(({ event }) => event === 'task.started')
    const isNoted = ({ next_try_at: at }: Delivery): boolean =>
      Date.parse(at ?? '') - stage.clock.now() <= 30_000
    await until('the retries to be noted', async () => (await started()).every(isNoted))
    assert.ok((await started()).every(({ status }) => status === 'pending'))
    // What waited behind another has waited for a day by the date, and is not too old for a retry.
    stage.receiver.answer = ({ body }) => ({ status: body.includes('task.waiting') ? 500 : 200 })
    stage.clock.advance(30_000)
    sender.poke()
    const waiting = await stage.delivery(
      endpoint,
      'task.waiting',
      ({ tries, last_error: error }) => {
        return tries === 1 && error !== null
      },
    )
    assert.equal(waiting.status, 'pending')
  })

test('a delivery is given up after 24 hours that passed, whatever the date was set to', async () => {
  const endpoint = await stage.endpoint()
  await using sender = stage.sender()
  const from = stage.clock.elapsed()
  await refusedOnce(endpoint, sender, 1)
  for (let tries = 2; ; tries += 1) {
    if (tries % 5 === 0) stage.clock.step(tries % 2 === 0 ? day : -hour)
    sender.poke()
    const before = await stage.delivery(endpoint, 'task.started', ({ next_try_at: at }) => {
      const ms = at === null ? 0 : Date.parse(at) - stage.clock.now()
      return ms > 0 && ms <= hour
    })
    stage.clock.advance(Date.parse(before.next_try_at ?? '') - stage.clock.now())
    sender.poke()
    const after = await stage.delivery(endpoint, 'task.started', (one) => {
      return one.tries === tries && (one.status === 'dead' || Date.parse(one.next_try_at ?? '') > 0)
    })
    await until(`try ${tries} to be noted`, async () => {
      const { log } = await stage.ask<{ log: unknown[] }>(200, 'GET', `/v1/deliveries/${after.id}`)
      return log.length === tries
    })
    const { status } = await stage.ask<Delivery>(200, 'GET', `/v1/deliveries/${after.id}`)
    if (status === 'dead') break
  }
  const took = stage.clock.elapsed() - from
  assert.ok(took > 22 * hour && took <= day, `${took / hour} hours`)
})

test('a try that is under way when the date is set is no older, and took no longer', async () => {
  const endpoint = await stage.endpoint()
  stage.receiver.answer = () => null
  const { id } = await stage.server.order()
  await stage.step(id, steps.started)
  await using _sender = stage.sender()
  await came(1)
  stage.clock.step(2 * day)
  stage.clock.advance(15_000)
  const tried = await stage.delivery(endpoint, 'task.started', ({ last_error: error }) => {
    return error !== null
  })
  assert.equal(tried.status, 'pending')
  const wait = Date.parse(tried.next_try_at ?? '') - stage.clock.now()
  assert.ok(wait > 0 && wait <= 5_000, `${wait} ms`)
  assert.equal(tried.log[0]?.duration_ms, 15_000)
})

test('progress is not held back by a date that was set back, nor what another node tries moved', async () => {
  const endpoint = await stage.endpoint()
  stage.receiver.answer = () => ({ status: 200 })
  const { server, clock } = stage
  const { db } = server.store
  await using sender = stage.sender()
  const { id: taskId } = await server.order()
  const report = (message: string) =>
    db
      .transaction()
      .execute((trx) => reportProgress(trx, { taskId, attempt: 0, progress: { message }, clock }))
  await report('one')
  sender.poke()
  await stage.delivery(endpoint, 'task.progress', ({ status }) => status === 'delivered')
  clock.step(-hour)
  await report('two')
  const next = await stage.delivery(endpoint, 'task.progress', () => true)
  assert.ok(Date.parse(next.next_try_at ?? '') <= clock.now() + 2_000)

  stage.receiver.answer = () => ({ status: 500 })
  const { id } = await server.order()
  await stage.step(id, steps.started)
  sender.poke()
  const mine = await stage.delivery(endpoint, 'task.started', ({ tries, last_error: error }) => {
    return tries === 1 && error !== null
  })
  await db
    .updateTable('deliveries')
    .set({ tried_by: 'another', next_try_at: new Date(clock.now() + 20 * hour) })
    .where('id', '=', mine.id)
    .execute()
  const { next_try_at: at } = await stage.ask<Delivery>(200, 'GET', `/v1/deliveries/${mine.id}`)
  const { id: other } = await server.order()
  await stage.step(other, steps.started)
  clock.step(10 * hour)
  sender.poke()
  await until('the other to be tried', async () => {
    return (await all(endpoint)).some(({ task_id: of, tries }) => of === other && tries === 1)
  })
  const now = await stage.ask<Delivery>(200, 'GET', `/v1/deliveries/${mine.id}`)
  assert.equal(now.next_try_at, at)
})

test('days that only the date went by disable no endpoint', async () => {
  const endpoint = await stage.endpoint()
  await using sender = stage.sender()
  const { server, clock } = stage
  const giveUp = async (times: number): Promise<void> => {
    const before = (await all(endpoint)).length
    for (let n = 0; n < times; n += 1) {
      const { id: taskId } = await server.order()
      const given = { taskId, attempt: 0, progress: { message: 'on' }, clock }
      await server.store.db.transaction().execute((trx) => reportProgress(trx, given))
    }
    sender.poke()
    await until('them to be given up', async () => {
      const dead = (await all(endpoint)).filter(({ status }) => status === 'dead')
      return dead.length === before + times
    })
  }
  await giveUp(10)
  clock.step(6 * day)
  await giveUp(1)
  const path = `/v1/endpoints/${endpoint.id}`
  const { disabled_at, failing_since } = await stage.ask<Endpoint>(200, 'GET', path)
  assert.equal(disabled_at, null)
  assert.equal(failing_since, new Date(clock.now()).toISOString())
})

test('a date is moved by the node that wrote it alone, of all that share its host, one that sends nothing too', async () => {
  const endpoint = await stage.endpoint()
  const { server, clock } = stage
  const { store, metrics } = server
  await (async () => {
    await using sender = stage.sender()
    await refusedOnce(endpoint, sender, 1)
  })()
  const { id } = await server.order()
  await stage.step(id, steps.started)
  const dates = async (): Promise<(number | undefined)[]> => {
    const { rows } = await store.pool.query<{ queued_at: Date; tried_at: Date | null }>(
      'select queued_at, tried_at from deliveries where endpoint_id = $1 order by position',
      [endpoint.id],
    )
    const { failing_since: since } = await stage.ask<Endpoint>(
      200,
      'GET',
      `/v1/endpoints/${endpoint.id}`,
    )
    const all = rows.flatMap((row) => [row.queued_at.getTime(), row.tried_at?.getTime()])
    return [...all, Date.parse(since ?? '')]
  }
  const before = await dates()
  assert.equal(before.filter(Number.isFinite).length, 4)

  const log = createLog('silent')
  await using keeper = new DeliverySender({
    store,
    clock,
    log,
    metrics,
    secrets: [callbackSecret],
    allow: [],
  })
  const stepMs = -8 * hour
  clock.step(stepMs)
  for (const node of ['second', 'third']) {
    const o = { node, stepMs, now: new Date(clock.now()), waitMsMax: hour }
    await store.db.transaction().execute((trx) => redateDeliveries(trx, o))
  }
  assert.deepEqual(await dates(), before)

  keeper.keepDates()
  await until('its own to move them', async () => (await dates())[0] !== before[0])
  assert.deepEqual(
    await dates(),
    before.map((date) => date && date + stepMs),
  )
})
