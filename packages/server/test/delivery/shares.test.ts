/** The part of a sender's tries that one receiver has, whatever leads there. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { newId } from '../../src/ids.ts'
import { insertDelivery } from '../../src/store/deliveries.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { type OutboxStage, openStage, steps } from './outbox-stage.ts'

let stage: OutboxStage
let other: Receiver
let task: { id: string; session_id: string }
before(async () => {
  stage = await openStage()
  other = await openReceiver()
  task = await stage.server.order()
})
after(async () => {
  await other[Symbol.asyncDispose]()
  await stage[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await stage.clear()
  await stage.server.store.pool.query('delete from deliveries')
  other.received.length = 0
  // The receiver of the stage is the one that hangs.
  stage.receiver.answer = () => null
})

async function callbacks(count: number, urlOf: (n: number) => string): Promise<void> {
  const now = new Date(stage.clock.now())
  for (let n = 0; n < count; n += 1)
    await insertDelivery(stage.server.store.db, {
      ...{ id: newId('dlv', stage.clock), url: urlOf(n), body: '{}', now, nextTryAt: now },
      ...{ sessionId: task.session_id, taskId: task.id, attempt: 1, createdBy: null },
      type: 'task.completed',
    })
}

const toHung = (n: number) =>
  `${n % 2 === 0 ? 'http' : 'HTTP'}://127.0.0.1:${stage.receiver.port}/${n}`
const toOther = (n: number) => `http://127.0.0.1:${other.port}/${n}`

function sender() {
  const allow = [stage.local, { host: '127.0.0.1', port: other.port }]
  return stage.sender({ allow })
}

/** What came there since the last look, once so many did. */
async function came(receiver: Receiver, count: number): Promise<number> {
  await until(`${count} to come`, () => receiver.received.length >= count)
  return receiver.received.splice(0).length
}

test('two hundred callbacks to a host that hangs hold nobody else up, and have four tries at once', async () => {
  await callbacks(200, toHung)
  await callbacks(30, toOther)
  await using sending = sender()
  assert.equal(await came(other, 30), 30)
  assert.equal(await came(stage.receiver, 4), 4)
  // What comes now finds room as well.
  await callbacks(1, toOther)
  sending.poke()
  await came(other, 1)
  stage.clock.advance(15_000)
  assert.equal(await came(stage.receiver, 4), 4)
})

test('five endpoints at one host that hangs have six tries at once, and leave room for others', async () => {
  for (let n = 0; n < 5; n += 1) await stage.endpoint({ path: `/${n}` })
  for (let n = 0; n < 5; n += 1) {
    const { id } = await stage.server.order()
    await stage.step(id, steps.started)
  }
  await callbacks(5, toHung)
  await callbacks(30, toOther)
  await using _sending = sender()
  assert.equal(await came(other, 30), 30)
  assert.equal(await came(stage.receiver, 6), 6)
})

test('each of two nodes has its own tries at a host that hangs, of other deliveries', async () => {
  await callbacks(40, toHung)
  await callbacks(20, toOther)
  await using one = sender()
  await using two = sender()
  assert.equal(await came(other, 20), 20)
  await until('eight to come', () => {
    // One may have looked at those that the other was just taking.
    for (const each of [one, two]) each.poke()
    return stage.receiver.received.length >= 8
  })
  const ids = stage.receiver.received.map(({ headers }) => headers['webhook-id'])
  assert.deepEqual([ids.length, new Set(ids).size], [8, 8])
})

test('an origin is told from another by its scheme, host and port, however they are written', async () => {
  const { pool } = stage.server.store
  const same: readonly (readonly [origin: string, urls: readonly string[]])[] = [
    [
      'https://a.example',
      ['https://a.example/x', 'HTTPS://A.Example:443?y', 'https://a.example\\z'],
    ],
    ['http://a.example', ['http://a.example', 'http://a.example:80/']],
    ['https://a.example:80', ['https://a.example:80/']],
    ['https://a.example:4430', ['https://a.example:4430/']],
    ['https://[::1]:8443', ['https://[::1]:8443/a:443']],
  ]
  for (const [origin, urls] of same)
    for (const url of urls) {
      const { rows } = await pool.query('select origin_of($1) as origin', [url])
      assert.equal(rows[0].origin, origin, url)
    }
})
