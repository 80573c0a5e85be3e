import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { systemClock } from '../../src/clock.ts'
import { callHttp } from '../../src/gateway/call-http.ts'
import { log, startUpstream } from './harness.ts'

const secret = 'canary+of/the=tool'

async function call(
  respond: (request: IncomingMessage, response: ServerResponse, body: string) => unknown,
  o: Partial<Parameters<typeof callHttp>[0]> & { readonly listed?: boolean } = {},
) {
  await using upstream = await startUpstream(respond)
  const outcome = await callHttp({
    method: 'GET',
    url: new URL('/thing', upstream.url),
    headers: {},
    secretHeaders: { authorization: `Bearer ${secret}` },
    secrets: [secret],
    body: null,
    timeoutMs: 60_000,
    allowPrivate: o.listed === false ? [] : [{ host: '127.0.0.1', port: upstream.port }],
    clock: systemClock,
    log,
    signal: new AbortController().signal,
    ...o,
  })
  return { outcome, requests: upstream.requests }
}

test('the secret goes out with the request and never comes back with the answer', async () => {
  const { outcome, requests } = await call(
    ({ headers }, response) => {
      response.writeHead(403, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ you: headers.authorization, again: encodeURIComponent(secret) }),
      )
    },
    { method: 'POST', body: '{"a":1}', headers: { accept: 'application/json' } },
  )
  assert.deepEqual(outcome, {
    kind: 'answered',
    status: 403,
    contentType: 'application/json',
    text: '{"you":"Bearer [secret]","again":"[secret]"}',
    truncated: false,
  })
  assert.equal(requests[0]?.headers.authorization, `Bearer ${secret}`)
  assert.equal(requests[0]?.headers['content-type'], 'application/json')
  assert.equal(requests[0]?.body, '{"a":1}')
})

test('an address that is not listed is refused, and nothing is sent', async () => {
  const { outcome, requests } = await call((_, response) => response.end(), { listed: false })
  assert.equal(outcome.kind, 'failed')
  assert.match(outcome.kind === 'failed' ? outcome.sentence : '', /GATEWAY_ALLOW_PRIVATE/)
  assert.deepEqual(requests, [])
})

test('redirects are not followed', async () => {
  const { outcome, requests } = await call((_, response) => {
    response.writeHead(302, { location: '/elsewhere' }).end()
  })
  assert.match(outcome.kind === 'failed' ? outcome.sentence : '', /302: redirects are not followed/)
  assert.equal(requests.length, 1)
})

test('an answer that is compressed unasked, where a secret would hide, is refused', async () => {
  const { outcome } = await call((_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(secret))
  })
  assert.match(outcome.kind === 'failed' ? outcome.sentence : '', /encoding/)
})

test('an answer without end is cut at the same place, whatever it has of a secret there', async () => {
  const bytesMax = 256 * 1024
  const lengths = ['', secret.slice(0, 1), secret.slice(0, 9), secret].map(async (guess) => {
    const { outcome } = await call((_, response) => {
      response.on('error', () => undefined)
      const flood = (): void => {
        while (response.write(guess.padStart(bytesMax, 'x')));
        response.once('drain', flood)
      }
      flood()
    })
    assert.ok(outcome.kind === 'answered' && outcome.truncated)
    assert.match(outcome.text, /^x+$/)
    return outcome.text.length
  })
  const [none = 0, ...others] = await Promise.all(lengths)
  assert.ok(none > bytesMax - 1024)
  assert.deepEqual(others.slice(0, 2), [none, none])
})

test('bytes that are not text are counted, not shown', async () => {
  const { outcome } = await call((_, response) => {
    response.writeHead(200, { 'content-type': 'image/png' }).end(Buffer.alloc(12))
  })
  assert.equal(outcome.kind === 'answered' ? outcome.text : '', '12 bytes that are not text')
})

test('silence ends with the time limit, and a stop with its reason', async () => {
  const { outcome } = await call(() => undefined, { timeoutMs: 50 })
  assert.match(outcome.kind === 'failed' ? outcome.sentence : '', /longer than 50 ms/)
  const stop = new AbortController()
  await assert.rejects(
    call(() => stop.abort(new Error('the attempt ended')), { signal: stop.signal }),
    /the attempt ended/,
  )
})
