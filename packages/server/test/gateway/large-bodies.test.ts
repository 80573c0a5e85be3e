/** Large bodies: who waits for them, and what becomes of the thread that parses them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { Bodies } from '../../src/gateway/bodies.ts'
import { FairTurns } from '../../src/gateway/fair-turns.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { PriceTable } from '../../src/prices/price-table.ts'
import { until } from '../support/until.ts'
import { startGateway, startUpstream } from './harness.ts'

const path = '/anthropic/v1/messages'
const model = 'claude-opus-5-5'
const o = { metrics: new Metrics(), clock: systemClock, log: createLog('silent') }
const never = new AbortController().signal
const mebibyte = 1024 * 1024

function bodyOf(content: unknown): string {
  return JSON.stringify({ model, max_tokens: 1, messages: [{ role: 'user', content }] })
}

/** In as many pieces of the heap as there are texts: they fill it little by little. */
const hungry = bodyOf(
  Array.from({ length: 30_000 }, (_, n) => ({ type: 'text', text: `${n}`.padEnd(900) })),
)

/** Threads that this process has beside its own. */
function threads(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length
}

test('sessions take turns with large bodies, and a small one waits for none of them', async () => {
  await using bodies = new Bodies(o)
  const [first, second] = [bodies.ofSession(), bodies.ofSession()]
  const order: string[] = []
  const parse = async (session: typeof first, name: string, bytes: number): Promise<void> => {
    const rules = { prices: new PriceTable() }
    const raw = Buffer.from(bodyOf('x'.repeat(bytes)))
    const parsed = await session.parse(raw, { values: 5, rules, signal: never })
    assert.ok('body' in parsed)
    order.push(name)
  }
  const large = ['a', 'b', 'c'].map((name) => parse(first, name, mebibyte))
  await Promise.all([...large, parse(second, 'other', mebibyte), parse(second, 'small', 1000)])
  assert.deepEqual(order, ['small', 'a', 'other', 'b', 'c'])
})

test('who has had a turn goes behind all others, and who goes away loses it', async () => {
  const turns = new FairTurns()
  const [a, b, c] = [{}, {}, {}]
  const gone = new AbortController()
  const order: string[] = []
  const take = (owner: object, name: string, signal = never): Promise<void> =>
    turns.run({ owner, signal }, async () => {
      order.push(name)
    })
  const all = [take(a, 'a1'), take(a, 'a2'), take(a, 'a3'), take(b, 'b1'), take(c, 'c1')]
  const lost = assert.rejects(take(b, 'b2', gone.signal), /went away/)
  all.push(take(b, 'b3'))
  gone.abort(new Error('the client went away'))
  await Promise.all([...all, lost])
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b3', 'a3'])
  await assert.rejects(take(a, 'late', gone.signal), /went away/)
  await take(a, 'free')
})

test('a large body is sent on as a small one is, and no thread is left when its server ends', async () => {
  const before = threads()
  await using upstream = await startUpstream((_request, response) => response.end('{}'))
  const policy = { model: { baseUrl: upstream.url, headers: {} } }
  {
    await using bodies = new Bodies(o)
    await using gateway = await startGateway({ policy, bodies })
    // Of the most bytes, of the most values, and of what takes fewer bytes when it is written anew.
    const wide = bodyOf('é'.repeat(15 * mebibyte))
    const spaced = bodyOf('short').padEnd(mebibyte)
    const many = bodyOf(Array.from({ length: 30_000 }, () => ({ type: 'text', text: 'é' })))
    for (const body of [wide, spaced, many])
      assert.equal((await gateway.ask({ path, body })).status, 200)
    const sent = upstream.requests.map(({ body }) => body)
    assert.ok(sent.every((body, n) => body === [wide, spaced.trim(), many][n]))
    assert.equal(threads(), before + 1)
    const refused = await gateway.ask({
      path,
      body: wide.replace('"messages"', '"mcp_servers":[1],"messages"'),
    })
    assert.equal(refused.status, 400)
    assert.match(refused.text, /mcp_servers is not allowed/)
  }
  await until('no thread', () => threads() === before)
})

test('a body that takes too much memory is refused alone: what waits behind it passes', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('{}'))
  const policy = { model: { baseUrl: upstream.url, headers: {} } }
  await using bodies = new Bodies({ ...o, heapMegabytes: 24 })
  await using gateway = await startGateway({ policy, bodies })
  await using other = await startGateway({ policy, bodies })
  const large = bodyOf('x'.repeat(mebibyte))
  const asked = [
    gateway.ask({ path, body: hungry }),
    gateway.ask({ path, body: large }),
    other.ask({ path, body: large }),
    other.ask({ path, body: bodyOf('x') }),
  ]
  const answers = await Promise.all(asked)
  assert.deepEqual(
    answers.map(({ status }) => status),
    [413, 200, 200, 200],
  )
  assert.equal(JSON.parse(answers[0]?.text ?? '').error.type, 'request_too_large')
  const [refused] = gateway.decisions.filter(({ verdict }) => verdict !== 'allowed')
  assert.match(JSON.stringify(refused), /takes too much memory/)
  assert.equal((await other.ask({ path, body: large })).status, 200)
})

test('a body whose thread is ended under it is refused, to be sent again', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('{}'))
  const policy = { model: { baseUrl: upstream.url, headers: {} } }
  await using bodies = new Bodies(o)
  await using gateway = await startGateway({ policy, bodies })
  const before = threads()
  const asked = gateway.ask({ path, body: bodyOf('x'.repeat(30 * mebibyte)) })
  await until('a thread', () => threads() > before)
  await bodies[Symbol.asyncDispose]()
  const refused = await asked
  assert.deepEqual([refused.status, refused.headers['retry-after']], [529, '1'])
  assert.match(refused.text, /could not be read; try again/)
})
