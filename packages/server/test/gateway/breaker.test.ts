import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Breaker } from '../../src/gateway/breaker.ts'
import { resetOf } from '../../src/gateway/quota.ts'
import { Metrics } from '../../src/metrics.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startGateway, startUpstream } from './harness.ts'

const minute = 60_000

function limitedBreaker(times: number, reset: number | null = null) {
  const clock = new ManualClock()
  const breaker = new Breaker({ clock, metrics: new Metrics() })
  for (let n = 0; n < times; n += 1) {
    assert.equal(breaker.ask().kind, 'open')
    breaker.limited(reset === null ? null : clock.now() + reset)
  }
  return { clock, breaker }
}

test('one limited answer, or two, stop nobody', () => {
  const { breaker } = limitedBreaker(2)
  assert.equal(breaker.ask().kind, 'open')
})

test('an answer between limited ones begins the count anew', () => {
  const { breaker } = limitedBreaker(2)
  breaker.answered()
  breaker.limited(null)
  breaker.limited(null)
  assert.equal(breaker.ask().kind, 'open')
})

test('after three in a row nobody asks until the provider said, and then one does', () => {
  const { clock, breaker } = limitedBreaker(3, 10 * minute)
  assert.deepEqual(breaker.ask(), { kind: 'closed', until: clock.now() + 10 * minute })
  clock.advance(10 * minute)
  assert.equal(breaker.ask().kind, 'open')
  assert.equal(breaker.ask().kind, 'closed', 'while one finds out, the others wait')
  breaker.answered()
  assert.equal(breaker.ask().kind, 'open')
  assert.equal(breaker.ask().kind, 'open')
})

test('a provider that does not say for how long is asked at growing distances', () => {
  const { clock, breaker } = limitedBreaker(3)
  const waits: number[] = []
  for (let n = 0; n < 7; n += 1) {
    const passage = breaker.ask()
    assert.equal(passage.kind, 'closed')
    waits.push(passage.until - clock.now())
    clock.advance(passage.until - clock.now())
    assert.equal(breaker.ask().kind, 'open')
    breaker.limited(null)
  }
  assert.deepEqual(
    waits,
    [15, 30, 60, 120, 240, 300, 300].map((seconds) => seconds * 1000),
  )
})

test('a probe that got no answer lets another one find out', () => {
  const { clock, breaker } = limitedBreaker(3, minute)
  clock.advance(minute)
  assert.equal(breaker.ask().kind, 'open')
  breaker.missed()
  assert.equal(breaker.ask().kind, 'open')
})

test('the time of the reset is read in every form that providers use, and the latest counts', () => {
  const now = Date.UTC(2026, 10, 29, 12)
  const cases: readonly (readonly [Record<string, string>, number | null])[] = [
    [{ 'retry-after': '30' }, now + 30_000],
    [{ 'retry-after-ms': '1500' }, now + 1500],
    [{ 'retry-after': new Date(now + 5000).toUTCString() }, now + 5000],
    [{ 'anthropic-ratelimit-unified-reset': String(now / 1000 + 3600) }, now + 3_600_000],
    [
      { 'retry-after': '30', 'anthropic-ratelimit-unified-reset': String(now / 1000 + 60) },
      now + 60_000,
    ],
    [{}, null],
    [{ 'retry-after': '-1' }, null],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '0' }, null],
    [{ 'anthropic-ratelimit-unified-reset': '1' }, null],
  ]
  for (const [headers, expected] of cases)
    assert.equal(resetOf(headers, now), expected, JSON.stringify(headers))
})

test('sessions of one credential learn from each other: the fourth request is not sent', async () => {
  let sent = 0
  await using upstream = await startUpstream((_request, response) => {
    sent += 1
    response.writeHead(429, { 'retry-after': '600', 'content-type': 'application/json' })
    response.end('{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}')
  })
  const breaker = new Breaker({ clock: new ManualClock(), metrics: new Metrics() })
  const model = { baseUrl: upstream.url, headers: { 'x-api-key': 'k' } }
  await using one = await startGateway({ policy: { model }, breaker })
  await using other = await startGateway({ policy: { model }, breaker })
  const messages = [{ role: 'user', content: 'hello' }]
  const body = JSON.stringify({ model: 'claude-sonnet-5-5', max_tokens: 100, messages })
  const asked = { path: '/anthropic/v1/messages', body }
  for (let n = 0; n < 3; n += 1) assert.equal((await one.ask(asked)).status, 429)
  const refused = await other.ask(asked)
  assert.equal(refused.status, 529)
  assert.ok(Number(refused.headers['retry-after']) > 0)
  assert.equal(sent, 3)
  assert.equal(other.quotas.length, 1)
})
