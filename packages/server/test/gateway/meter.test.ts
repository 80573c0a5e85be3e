import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Clock, systemClock } from '../../src/clock.ts'
import { Meter } from '../../src/gateway/meter.ts'
import { UsageReader } from '../../src/gateway/usage.ts'
import { PriceTable } from '../../src/prices/price-table.ts'

const never = new AbortController().signal

function meter(limitUsd: number | null, spentUsd = 0, clock: Clock = systemClock): Meter {
  return new Meter({ budget: { limitUsd, spentUsd }, clock })
}

async function admitted(pending: ReturnType<Meter['admit']>): Promise<(usd: number) => void> {
  const admission = await pending
  assert.equal(admission.kind, 'admitted')
  return admission.kind === 'admitted' ? admission.settle : () => {}
}

/** Whether a promise has settled by now, all microtasks run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false
  promise.then(
    () => (done = true),
    () => (done = true),
  )
  await new Promise(setImmediate)
  return done
}

test('without a limit requests go at once', async () => {
  const free = meter(null, 1e6)
  await admitted(free.admit(1000, never))
  await admitted(free.admit(1000, never))
})

test('requests whose worst cases fit together go together', async () => {
  const budget = meter(1)
  await admitted(budget.admit(0.5, never))
  await admitted(budget.admit(0.5, never))
  assert.equal(await settled(budget.admit(0.01, never)), false)
})

test('a request that could cross the limit goes alone, and the next one after it', async () => {
  const budget = meter(1)
  const first = await admitted(budget.admit(5, never))
  const second = budget.admit(5, never)
  const small = budget.admit(0.001, never)
  assert.equal(await settled(second), false)
  assert.equal(await settled(small), false, 'a small one does not overtake')
  first(0.4)
  const settleSecond = await admitted(second)
  assert.equal(await settled(small), false)
  settleSecond(0.3)
  await admitted(small)
  assert.equal(budget.spentUsd, 0.7)
})

test('nothing goes once the limit is reached, not even what waited', async () => {
  const budget = meter(1)
  const first = await admitted(budget.admit(5, never))
  const waiting = budget.admit(5, never)
  first(1)
  assert.deepEqual(await waiting, { kind: 'spent' })
  assert.deepEqual(await budget.admit(0, never), { kind: 'spent' })
  assert.equal(budget.breached, true)
})

test('what earlier attempts spent counts', async () => {
  assert.deepEqual(await meter(1, 1).admit(0, never), { kind: 'spent' })
  assert.deepEqual(await meter(0).admit(0, never), { kind: 'spent' })
})

test('whoever stops waiting leaves the line', async () => {
  const budget = meter(1)
  const first = await admitted(budget.admit(5, never))
  const controller = new AbortController()
  const gone = budget.admit(5, controller.signal)
  const next = budget.admit(5, never)
  controller.abort(new Error('gone'))
  await assert.rejects(gone, /gone/)
  first(0)
  await admitted(next)
})

test('a wait ends as busy after its limit, and so does a line that is full', async () => {
  let fire = (): void => {}
  const clock: Clock = {
    ...systemClock,
    after: (_ms, run) => {
      fire = run
      return { cancel: () => {}, [Symbol.dispose]: () => {} }
    },
  }
  const budget = meter(1, 0, clock)
  await admitted(budget.admit(5, never))
  const waiting = budget.admit(5, never)
  fire()
  assert.deepEqual(await waiting, { kind: 'busy' })
  const line = Array.from({ length: 64 }, () => budget.admit(5, never))
  assert.deepEqual(await budget.admit(5, never), { kind: 'busy' })
  assert.equal(await settled(Promise.race(line)), false)
})

test('the overshoot is one request at most, whatever the order of events', async () => {
  const request = fc.record({ worst: fc.integer({ min: 1, max: 40 }), part: fc.nat(100) })
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 30 }), async (requests) => {
      const budget = meter(50)
      let dearest = 0
      const running = requests.map(async ({ worst, part }) => {
        const admission = await budget.admit(worst, never)
        if (admission.kind !== 'admitted') return
        assert.ok(budget.spentUsd < 50)
        dearest = Math.max(dearest, worst)
        await new Promise(setImmediate)
        admission.settle((worst * part) / 100)
      })
      await Promise.all(running)
      assert.ok(budget.spentUsd < 50 + dearest)
    }),
    { numRuns: 60 },
  )
})

const prices = new PriceTable()
const usage = {
  input_tokens: 1_000_000,
  output_tokens: 1_000_000,
  cache_read_input_tokens: 1_000_000,
  cache_creation_input_tokens: 1_000_000,
}
const costs: [model: string, costUsd: number][] = [
  ['claude-opus-5-5', 4 + 20 + 0.2 + 5],
  ['claude-opus-5-20260724', 5 + 25 + 0.5 + 6.25],
  ['us.anthropic.claude-sonnet-5-5-v1:0', 2 + 10 + 0.1 + 2.5],
  ['claude-haiku-5-5', 0.5 + 2.5 + 0.05 + 0.625],
  ['anthropic/claude-haiku-5-5-latest', 0.5 + 2.5 + 0.05 + 0.625],
  ['claude-haiku-5-5@20260901', 0.5 + 2.5 + 0.05 + 0.625],
  ['claude-haiku-5-5-ultra', 15 + 75 + 1.5 + 18.75],
  ['gpt-claude-haiku-5-5-turbo', 15 + 75 + 1.5 + 18.75],
  ['claude-opus-5-9', 15 + 75 + 1.5 + 18.75],
  ['somebody-elses-model', 15 + 75 + 1.5 + 18.75],
]
for (const [model, costUsd] of costs)
  test(`a million tokens of each kind on ${model} cost ${costUsd}`, () => {
    assert.ok(Math.abs(prices.costOf(model, usage) - costUsd) < 1e-9)
  })

test('an hour of cache, a long prompt and inference bound to one country cost more', () => {
  const hour = prices.costOf('claude-opus-5-5', { ...usage, hourCacheTokens: 1_000_000 })
  assert.equal(hour, 4 + 20 + 0.2 + 8)
  assert.equal(prices.priceOf('claude-haiku-5-5', 100_000).input, 0.1)
  assert.equal(prices.priceOf('claude-haiku-5-5', 100_001).input, 0.5)
  const bound = prices.costOf('claude-opus-5-5', { ...usage, usOnly: true })
  assert.ok(Math.abs(bound - 29.2 * 1.1) < 1e-9)
})

const requested = {
  ...{ model: 'claude-opus-5-5', inputTokens: 300, outputTokensMax: 1000 },
  usOnly: true,
}
const counts = { cache_read_input_tokens: 0, cache_creation_input_tokens: 0 }

function sse(...events: object[]): string {
  return events.map((event) => `event: x\r\ndata: ${JSON.stringify(event)}\r\n\r\n`).join('')
}
function read(text: string, o: { complete: boolean; contentType?: string }) {
  const contentType = o.contentType ?? 'text/event-stream; charset=utf-8'
  const reader = new UsageReader({ contentType, requested, prices })
  for (const byte of Buffer.from(text)) reader.feed(Buffer.from([byte]))
  return reader.end(o.complete)
}
const start = {
  type: 'message_start',
  message: { model: 'claude-sonnet-5-5', usage: { ...counts, input_tokens: 7, output_tokens: 1 } },
}
const delta = {
  type: 'content_block_delta',
  delta: { type: 'text_delta', text: 'ä\u2028'.repeat(60) },
}

test('usage is read off a stream, the last report replacing the first, byte by byte', () => {
  const last = { type: 'message_delta', usage: { output_tokens: 9, input_tokens: null } }
  const reading = read(sse(start, delta, last, { type: 'message_stop' }), { complete: true })
  assert.deepEqual(reading?.usage, { ...counts, input_tokens: 7, output_tokens: 9 })
  assert.equal(reading?.model, 'claude-sonnet-5-5')
  assert.ok(Math.abs((reading?.costUsd ?? 0) - (7 * 2 + 9 * 10) / 1e6) < 1e-12)
})

test('usage is read off a JSON answer', () => {
  const body = JSON.stringify({ usage: { input_tokens: 5, output_tokens: 6 }, content: [] })
  const reading = read(body, { complete: true, contentType: 'application/json' })
  assert.deepEqual(reading?.usage, { ...counts, input_tokens: 5, output_tokens: 6 })
  assert.equal(reading?.model, requested.model)
})

test('a stream that was cut off counts the text that came', () => {
  const reading = read(sse(start, delta), { complete: false })
  assert.deepEqual(reading?.usage, { ...counts, input_tokens: 7, output_tokens: 100 })
})

test('a stream cut before its first event counts the input', () => {
  const reading = read('', { complete: false })
  assert.deepEqual(reading?.usage, { ...counts, input_tokens: 300, output_tokens: 0 })
})

test('a complete answer without readable usage counts its worst case', () => {
  for (const text of ['', 'not json', sse({ type: 'message_start', message: {} })])
    for (const contentType of ['application/json', 'text/event-stream'])
      assert.equal(read(text, { complete: true, contentType })?.usage.output_tokens, 1000)
  const costUsd = read('', { complete: true })?.costUsd ?? 0
  assert.ok(Math.abs(costUsd - ((300 * 4 + 1000 * 20) * 1.1) / 1e6) < 1e-12)
})

test('negative and absurd figures are not believed', () => {
  const body = JSON.stringify({ usage: { input_tokens: -5, output_tokens: 6 } })
  const reading = read(body, { complete: true, contentType: 'application/json' })
  assert.equal(reading?.usage.output_tokens, 1000)
})

test('an error in place of an answer costs nothing', () => {
  assert.equal(read(sse({ type: 'error', error: {} }), { complete: true }), null)
})

test('iterations that the top level leaves out are paid for, each at its model', () => {
  const iterations = [
    { ...counts, input_tokens: 10, output_tokens: 10, model: 'claude-opus-5-5' },
    { ...counts, input_tokens: 20, output_tokens: 20, model: 'claude-fable-5-2' },
  ]
  const body = {
    model: 'claude-fable-5-2',
    usage: { input_tokens: 20, output_tokens: 20, iterations },
  }
  const reading = read(JSON.stringify(body), { complete: true, contentType: 'application/json' })
  assert.equal(reading?.usage.output_tokens, 30)
  assert.ok(Math.abs((reading?.costUsd ?? 0) - (10 * 24 + 20 * 48) / 1e6) < 1e-12)
})
