import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { Breaker } from '../../src/gateway/breaker.ts'
import { limitOf } from '../../src/gateway/quota.ts'
import { Metrics } from '../../src/metrics.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { until as becomes, startGateway, startUpstream } from './harness.ts'

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
  assert.deepEqual(breaker.ask(), {
    ...{ kind: 'closed', until: clock.now() + 10 * minute, isDate: false },
  })
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

test('a limit that is gone for a month is looked at again and again: it may be raised before', () => {
  const { clock, breaker } = limitedBreaker(3, 30 * 24 * 60 * minute)
  const back = clock.now() + 30 * 24 * 60 * minute
  clock.advance(15 * minute - 1)
  assert.equal(breaker.ask().kind, 'closed')
  clock.advance(1)
  assert.equal(breaker.ask().kind, 'open')
  assert.deepEqual(breaker.ask(), { kind: 'closed', until: back, isDate: false })
  breaker.limited(back)
  assert.deepEqual(breaker.ask(), { kind: 'closed', until: back, isDate: false })
  clock.advance(15 * minute)
  assert.equal(breaker.ask().kind, 'open')
  breaker.answered()
  assert.equal(breaker.ask().kind, 'open')
})

test('a moment that the provider named comes while the machine sleeps, and a date that is set back puts it off for nobody', () => {
  for (const stepMs of [0, -480 * minute]) {
    const { clock, breaker } = limitedBreaker(2)
    const until = clock.now() + 480 * minute
    breaker.limited(until, true)
    assert.deepEqual(breaker.ask(), { kind: 'closed', until, isDate: true })
    clock.step(stepMs)
    if (stepMs < 0) clock.advance(480 * minute)
    else {
      clock.step(480 * minute - 1)
      assert.deepEqual(breaker.look(), { kind: 'closed', until, isDate: true })
      clock.step(1)
    }
    assert.equal(breaker.closedUntil, null)
    assert.equal(breaker.ask().kind, 'open')
  }
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
  const cases: readonly (readonly [Record<string, string>, number | null, isDate?: boolean])[] = [
    [{ 'retry-after': '30' }, now + 30_000],
    [{ 'retry-after-ms': '1500' }, now + 1500],
    [{ 'retry-after': new Date(now + 5000).toUTCString() }, now + 5000, true],
    [{ 'anthropic-ratelimit-unified-reset': String(now / 1000 + 3600) }, now + 3_600_000, true],
    [
      { 'retry-after': '30', 'anthropic-ratelimit-unified-reset': String(now / 1000 + 60) },
      now + 60_000,
      true,
    ],
    [
      { 'retry-after': '3601', 'anthropic-ratelimit-unified-reset': String(now / 1000 + 3600) },
      now + 3_601_000,
      true,
    ],
    [
      { 'retry-after': '7200', 'anthropic-ratelimit-unified-reset': String(now / 1000 + 3600) },
      now + 7_200_000,
    ],
    [{}, null],
    [{ 'retry-after': '-1' }, null],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '0' }, null],
    [{ 'retry-after': '999999999999' }, null],
    [{ 'anthropic-ratelimit-unified-reset': '1' }, null],
    [{ 'anthropic-ratelimit-unified-reset': '999999999999' }, null],
  ]
  for (const [headers, reset, isDate = false] of cases)
    assert.deepEqual(
      limitOf({ status: 429, headers, said: '', now }),
      { reset, isDate },
      JSON.stringify(headers),
    )
})

const limits = 'You have reached your specified API usage limits.'
const until = (when: string): string => `${limits} You will regain access on ${when}.`

function limitSaid(status: number, message: unknown) {
  const now = Date.UTC(2026, 10, 29, 12)
  const said = JSON.stringify({ type: 'error', error: { type: 'invalid_request_error', message } })
  return limitOf({ status, headers: {}, said, now })
}

test('a usage limit is told by its words, with whatever status, and its date is of UTC', () => {
  const reset = Date.UTC(2026, 11, 1)
  for (const status of [400, 429, 529])
    assert.deepEqual(limitSaid(status, until('2026-12-01 at 00:00 UTC')), { reset, isDate: true })
  const workspace = until('2026-12-01 at 00:00 UTC').replace('API', 'workspace API')
  assert.deepEqual(limitSaid(400, workspace), { reset, isDate: true })
})

test('credit that is used up is a limit without a date', () => {
  const next = 'Please go to Plans & Billing to upgrade or purchase credits.'
  for (const api of ['Anthropic', 'Claude']) {
    const said = `Your credit balance is too low to access the ${api} API. ${next}`
    assert.deepEqual(limitSaid(400, said), { reset: null, isDate: false })
    assert.equal(limitSaid(400, `messages.0: ${said}`), null)
    assert.equal(limitSaid(403, said), null)
  }
})

test('a date that is none, has passed or is a year away is not believed; the limit is', () => {
  for (const when of [
    '2026-11-29 at 11:59 UTC',
    '2027-11-31 at 00:00 UTC',
    '2026-13-01 at 00:00 UTC',
    '2026-12-01 at 24:00 UTC',
    '2026-12-01 at 00:60 UTC',
    '2028-01-01 at 00:00 UTC',
    '9999-12-31 at 00:00 UTC',
    '2026-12-01 at 00:00 PST',
    '2026-12-01 at 00:00 UTC, or so',
    '12/01/2026 at 00:00 UTC',
    '+275760-09-13 at 00:00 UTC',
  ])
    assert.deepEqual(limitSaid(400, until(when)), { reset: null, isDate: false }, when)
})

test('what a refusal repeats of its request is no limit', () => {
  for (const message of [
    `messages.0.role: Input should be 'user', got ${JSON.stringify(until('2026-12-01 at 00:00 UTC'))}`,
    `${limits.slice(0, -1)}${until('2026-12-01 at 00:00 UTC')}`,
    'prompt is too long',
    { limits },
    null,
  ])
    assert.equal(limitSaid(400, message), null)
  const now = Date.now()
  for (const said of ['', 'null', '[]', '{"error":1}', limits, '['.repeat(60_000)])
    assert.equal(limitOf({ status: 400, headers: {}, said, now }), null)
  assert.equal(limitSaid(404, until('2026-12-01 at 00:00 UTC')), null)
})

test('a session hears of a usage limit as of any other, and of another 400 what was said', async () => {
  const clock = new ManualClock()
  const back = new Date(Math.ceil(clock.now() / 86_400_000 + 3) * 86_400_000)
  const [day] = back.toISOString().split('T')
  const bodies = [
    until(`${day} at 00:00 UTC`),
    'prompt is too long',
    'x'.repeat(100_000),
    'Your credit balance is too low to access the Anthropic API.',
  ].map((message) =>
    JSON.stringify({ type: 'error', error: { type: 'invalid_request_error', message } }),
  )
  let sent = 0
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(400, { 'content-type': 'application/json', 'request-id': 'req_1' })
    response.end(bodies[sent])
    sent += 1
  })
  const model = { baseUrl: upstream.url, headers: { 'x-api-key': 'k' } }
  await using gateway = await startGateway({ policy: { model }, clock })
  const limited = await gateway.ask(asked)
  assert.equal(limited.status, 429)
  assert.equal(JSON.parse(limited.text).error.type, 'rate_limit_error')
  assert.equal(
    limited.headers['retry-after'],
    `${Math.ceil((back.getTime() - clock.now()) / 1000)}`,
  )
  const plain = await gateway.ask(asked)
  assert.deepEqual([plain.status, plain.text], [400, bodies[1]])
  assert.equal(plain.headers['request-id'], 'req_1')
  const huge = await gateway.ask(asked)
  assert.deepEqual([huge.status, huge.text], [400, ''])
  const poor = await gateway.ask(asked)
  assert.deepEqual([poor.status, poor.headers['retry-after']], [429, undefined])
  assert.deepEqual(gateway.quotas, [back.getTime()])
})

test('token counts ask the breaker, and say nothing to it: they have limits of their own', async () => {
  const sent: string[] = []
  let status = 429
  await using upstream = await startUpstream((request, response) => {
    const isCount = request.url?.includes('count_tokens') === true
    sent.push(isCount ? 'count' : 'message')
    const json = { 'content-type': 'application/json' }
    if (status === 200 || (isCount && status === 429)) {
      response.writeHead(200, json).end('{"input_tokens":3,"usage":{}}')
      return
    }
    response.writeHead(isCount ? 429 : status, { ...json, 'retry-after': '3600' })
    response.end('{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}')
  })
  const clock = new ManualClock()
  const breaker = new Breaker({ clock, metrics: new Metrics() })
  const model = { baseUrl: upstream.url, headers: { 'x-api-key': 'k' } }
  await using one = await startGateway({ policy: { model }, breaker, clock })
  await using other = await startGateway({ policy: { model }, breaker, clock })
  const count = { ...asked, path: '/anthropic/v1/messages/count_tokens' }
  assert.equal((await one.ask(asked)).status, 429)
  assert.equal((await one.ask(asked)).status, 429)
  assert.equal((await other.ask(count)).status, 200)
  assert.equal((await one.ask(asked)).status, 429)
  assert.ok(breaker.closedUntil, 'the count between them began nothing anew')
  const refused = await other.ask(count)
  assert.equal(refused.status, 529)
  assert.ok(Number(refused.headers['retry-after']) > 0)
  assert.equal((await other.ask(asked)).status, 529)
  assert.deepEqual(sent, ['message', 'message', 'count', 'message'])
  assert.equal(other.quotas.length, 1, 'no task gives up its slot for a count')
  clock.advance(3_600_000)
  assert.equal((await other.ask(count)).status, 200)
  assert.equal(breaker.ask().kind, 'open', 'the count was not the one that finds out')
  assert.equal((await other.ask(count)).status, 529)
  breaker.answered()
  status = 500
  for (let n = 0; n < 4; n += 1) assert.equal((await other.ask(count)).status, 429)
  assert.equal(breaker.closedUntil, null)
  assert.equal(other.quotas.length, 1)
})

const asked = {
  path: '/anthropic/v1/messages',
  body: JSON.stringify({
    model: 'claude-sonnet-5-5',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'hello' }],
  }),
}

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
  for (let n = 0; n < 3; n += 1) assert.equal((await one.ask(asked)).status, 429)
  const refused = await other.ask(asked)
  assert.equal(refused.status, 529)
  assert.ok(Number(refused.headers['retry-after']) > 0)
  assert.equal(sent, 3)
  assert.equal(other.quotas.length, 1)
})

test('who waits for a turn at its own budget is not the one that finds out for all', async () => {
  const open: ServerResponse[] = []
  let status = 0
  await using upstream = await startUpstream((_request, response) => {
    if (status === 0) open.push(response)
    else response.writeHead(status, { 'retry-after': '3600' }).end('{"usage":{}}')
  })
  const clock = new ManualClock()
  const breaker = new Breaker({ clock, metrics: new Metrics() })
  const model = { baseUrl: upstream.url, headers: {} }
  let came = 0
  const beforeModelRequest = async () => {
    came += 1
  }
  await using poor = await startGateway({
    ...{ policy: { model }, breaker, clock, limitUsd: 0.000_1, beforeModelRequest },
  })
  await using other = await startGateway({ policy: { model }, breaker, clock })
  const first = poor.ask(asked)
  await becomes(() => open.length === 1)
  for (let n = 0; n < 3; n += 1) breaker.limited(clock.now() + minute)
  clock.advance(minute)
  const second = poor.ask(asked)
  await becomes(() => came === 2)
  for (const each of [first, second]) each.catch(() => {})
  status = 429
  assert.equal((await other.ask(asked)).status, 429, 'the answer of the provider')
  // The first fails, so that the second has its turn: by now the provider is known to be away.
  open[0]?.destroy()
  assert.equal((await first).status, 502)
  assert.equal((await second).status, 529)
  assert.equal(poor.quotas.length, 1)
  status = 200
  breaker.answered()
  assert.equal((await poor.ask(asked)).status, 200, 'its turn was given back')
  assert.equal(upstream.requests.length, 3)
})
