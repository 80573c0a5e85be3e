import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import type { HostPort } from '../../src/config.ts'
import { DeliverySender, type DeliverySenderOptions } from '../../src/delivery/sender.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { insertDelivery } from '../../src/store/deliveries.ts'
import type { DeliveryRow } from '../../src/store/tables.ts'
import { openTestApp, type TestApp } from '../http/fixture.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
let server: TestApp
let receiver: Receiver
let clock: ManualClock
let task: { id: string; session_id: string }

before(async () => {
  server = await openTestApp()
  receiver = await openReceiver()
  task = await server.order()
})
after(async () => {
  await receiver[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
beforeEach(() => {
  clock = new ManualClock()
  receiver.received.length = 0
  receiver.answer = () => ({ status: 200 })
})

const local = (): HostPort => ({ host: '127.0.0.1', port: receiver.port })

function start(o: Partial<DeliverySenderOptions> = {}): DeliverySender {
  const { store } = server
  const log = createLog('silent')
  const metrics = new Metrics()
  const sender = new DeliverySender({
    store,
    clock,
    log,
    metrics,
    secrets: [secret],
    allow: [local()],
    ...o,
  })
  sender.start()
  return sender
}

async function write(url: string, body = '{"type":"task.completed"}'): Promise<string> {
  const now = new Date(clock.now())
  const id = newId('dlv', clock)
  await insertDelivery(server.store.db, {
    ...{ id, url, body, now, nextTryAt: now },
    ...{ sessionId: task.session_id, taskId: task.id, attempt: 1, createdBy: null },
    type: 'task.completed',
  })
  return id
}

function read(id: string): Promise<DeliveryRow> {
  return server.store.db
    .selectFrom('deliveries')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** Waits for the `tries`-th try of a delivery to be over. */
async function tried(id: string, tries: number): Promise<DeliveryRow> {
  let row = await read(id)
  await until(`try ${tries} of ${id}`, async () => {
    row = await read(id)
    return row.tries === tries && (row.last_error !== null || row.delivered_at !== null)
  })
  return row
}

test('a callback is one POST that the standardwebhooks library verifies', async () => {
  await using _sender = start()
  const body = JSON.stringify({ type: 'task.completed', context: { chat: 'é' } })
  const id = await write(`http://127.0.0.1:${receiver.port}/done?x=1`, body)
  await until('the sender to wait for its next look', () => clock.pending > 0)
  clock.advance(10_000)
  const row = await tried(id, 1)
  const [got] = receiver.received
  assert.equal(got?.path, '/done?x=1')
  assert.equal(got?.headers['content-type'], 'application/json')
  assert.equal(got?.headers['webhook-id'], id)
  const headers = got?.headers ?? {}
  assert.deepEqual(new Webhook(secret).verify(got?.body ?? '', headers), JSON.parse(body))
  assert.throws(() => new Webhook(secret).verify(`${got?.body} `, headers))
  assert.ok(row.delivered_at)
  assert.equal(row.last_status, 200)
  assert.equal(row.next_try_at, null)
})

test('while receivers change to another secret either verifies', async () => {
  const next = `whsec_${Buffer.alloc(32, 8).toString('base64')}`
  await using sender = start({ secrets: [next, secret] })
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  sender.poke() // It may have looked before there was one.
  await tried(id, 1)
  const [got] = receiver.received
  for (const each of [next, secret])
    assert.doesNotThrow(() => new Webhook(each).verify(got?.body ?? '', got?.headers ?? {}))
})

test('a poke sends at once, without time going on', async () => {
  await using sender = start()
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  sender.poke()
  assert.ok((await tried(id, 1)).delivered_at)
})

test('failures are tried again after 5 s, 30 s, 2 m, 10 m, 30 m, then hourly to 24 h, each a little earlier', async () => {
  receiver.answer = () => ({ status: 500, body: 'down '.repeat(1000) })
  await using sender = start()
  const written = clock.now()
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  sender.poke()
  const waits: number[] = []
  for (let tries = 1; ; tries += 1) {
    const row = await tried(id, tries)
    assert.equal(receiver.received.length, tries)
    assert.equal(row.last_status, 500)
    assert.match(row.last_error ?? '', /^HTTP 500: down down/)
    assert.ok((row.last_error ?? '').length < 1100)
    if (row.gave_up_at) break
    const wait = (row.next_try_at?.getTime() ?? 0) - clock.now()
    waits.push(wait / 1000)
    clock.advance(wait - 1)
    sender.poke()
    await server.store.db.updateTable('deliveries').set({ last_error: null }).execute()
    clock.advance(1)
    sender.poke()
  }
  for (const [n, wait] of waits.entries()) {
    const most = [5, 30, 120, 600, 1800][n] ?? 3600
    assert.ok(wait > most * 0.9 - 0.001 && wait <= most, `${wait} s of ${most}`)
  }
  assert.ok(new Set(waits.slice(5)).size > 10, 'each has a jitter of its own')
  const hours = (clock.now() - written) / 3_600_000
  assert.ok(hours > 23 && hours <= 24, `${hours} hours`)
})

test('a receiver that answers 410 is not called again', async () => {
  receiver.answer = () => ({ status: 410 })
  await using sender = start()
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  sender.poke()
  const row = await tried(id, 1)
  assert.ok(row.gave_up_at)
  assert.equal(row.next_try_at, null)
})

test('a redirect is not followed', async () => {
  const { port } = receiver
  receiver.answer = () => ({ status: 302, headers: { location: `http://127.0.0.1:${port}/other` } })
  await using sender = start()
  const id = await write(`http://127.0.0.1:${port}/`)
  sender.poke()
  const row = await tried(id, 1)
  assert.match(row.last_error ?? '', /HTTP 302: redirects are not followed/)
  assert.deepEqual(
    receiver.received.map(({ path }) => path),
    ['/'],
  )
})

test('only public addresses over https are called, unless the operator lists the receiver', async () => {
  const lookup = async (host: string) =>
    host === 'inside.test'
      ? [
          { address: '93.184.215.14', family: 4 },
          { address: '10.0.0.7', family: 4 },
        ]
      : [{ address: '127.0.0.1', family: 4 }]
  await using sender = start({ allow: [], lookup })
  const { port } = receiver
  const refused = [
    [`http://127.0.0.1:${port}/`, /not reached over https and not in CALLBACK_ALLOW/],
    [`http://example.com/`, /not reached over https/],
    [`https://127.0.0.1:${port}/`, /is not a public address and not in CALLBACK_ALLOW/],
    [`https://2130706433:${port}/`, /is not a public address/],
    [`https://[::1]:${port}/`, /is not a public address/],
    [`https://[::ffff:127.0.0.1]:${port}/`, /is not a public address/],
    [`https://localhost:${port}/`, /is not a public address/],
    [`https://inside.test:${port}/`, /is not a public address/],
  ] as const
  for (const [url, says] of refused) {
    const id = await write(url)
    sender.poke()
    const row = await tried(id, 1)
    assert.match(row.last_error ?? '', says, url)
    assert.ok(row.next_try_at, 'the operator may list it meanwhile')
  }
  assert.deepEqual(receiver.received, [])
})

test('a name is resolved once, judged, and dialled at that address', async () => {
  const asked: string[] = []
  const lookup = async (host: string) => {
    asked.push(host)
    return [{ address: asked.length === 1 ? '127.0.0.1' : '10.9.9.9', family: 4 }]
  }
  const { port } = receiver
  await using sender = start({ allow: [{ host: 'hooks.test', port }], lookup })
  const id = await write(`http://hooks.test:${port}/`)
  sender.poke()
  assert.ok((await tried(id, 1)).delivered_at)
  assert.deepEqual(asked, ['hooks.test'])
  assert.equal(receiver.received[0]?.headers['host'], `hooks.test:${port}`)
})

test('a receiver that never answers is given up after 15 s, and tried again', async () => {
  receiver.answer = () => null
  await using sender = start()
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  sender.poke()
  await until('the call', () => receiver.received.length === 1)
  clock.advance(15_000)
  const row = await tried(id, 1)
  assert.equal(row.last_error, 'no answer within 15000 ms')
  const waitMs = (row.next_try_at?.getTime() ?? 0) - clock.now()
  assert.ok(waitMs >= 4_500 && waitMs <= 5_000, `${waitMs} ms`)
})

test('a stop breaks a call off, and the next sender makes it, as if it were the first', async () => {
  receiver.answer = () => null
  const first = start()
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  first.poke()
  await until('the call', () => receiver.received.length === 1)
  await first[Symbol.asyncDispose]()
  assert.equal((await read(id)).tries, 0)
  receiver.answer = () => ({ status: 204 })
  await using _second = start()
  assert.ok((await tried(id, 1)).delivered_at)
  assert.equal(receiver.received[1]?.headers['webhook-id'], id)
})

test('two senders on one outbox send each delivery once', async () => {
  const senders = [start(), start()]
  const ids = await Promise.all(
    Array.from({ length: 40 }, (_, n) => write(`http://127.0.0.1:${receiver.port}/${n}`)),
  )
  for (const sender of senders) sender.poke()
  await until('all are sent', () => receiver.received.length >= ids.length)
  for (const id of ids) assert.ok((await tried(id, 1)).delivered_at)
  for (const sender of senders) await sender[Symbol.asyncDispose]()
  assert.equal(receiver.received.length, ids.length)
  assert.equal(new Set(receiver.received.map(({ path }) => path)).size, ids.length)
})

test('a sender that died in a call is followed by another a minute later', async () => {
  const id = await write(`http://127.0.0.1:${receiver.port}/`)
  const { db } = server.store
  const claimed = new Date(clock.now() + 60_000)
  await db
    .updateTable('deliveries')
    .set({ tries: 1, next_try_at: claimed })
    .where('id', '=', id)
    .execute()
  await using sender = start()
  clock.advance(60_000)
  sender.poke()
  assert.ok((await tried(id, 2)).delivered_at)
})
