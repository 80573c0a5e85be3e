/** The memory of the server that sandboxes can take by what they ask for. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { Bodies } from '../../src/gateway/bodies.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { askRaw, startGateway, startUpstream, type TestGateway, until } from './harness.ts'

const path = '/anthropic/v1/messages'
const mebibyte = 1024 * 1024
const log = createLog('silent')
const plain = bodyOf('hello')

function bodyOf(content: string): string {
  const messages = [{ role: 'user', content }]
  return JSON.stringify({ model: 'claude-opus-5-5', max_tokens: 1, messages })
}

/** A provider that answers when it is told to. */
async function startSlow() {
  const open: ServerResponse[] = []
  const upstream = await startUpstream((_request, response) => open.push(response))
  const answer = (): void => {
    for (const response of open.splice(0)) response.writeHead(400).end('{}')
  }
  return { ...upstream, open, answer, policy: { model: { baseUrl: upstream.url, headers: {} } } }
}

/** Begins a body of `size` bytes, and sends them but for the last. */
async function beginBody(gateway: TestGateway, size: number): Promise<Socket> {
  const socket = connect(gateway.socketPath)
  socket.on('error', () => {})
  const head = `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${size}\r\n\r\n`
  socket.write(head)
  await new Promise((resolve) => socket.write(Buffer.alloc(size - 1, ' '), resolve))
  return socket
}

test('bodies of one session have 64 MiB together, ended or not, and others are not hindered', async () => {
  await using upstream = await startSlow()
  const metrics = new Metrics()
  await using bodies = new Bodies({ log, metrics, clock: systemClock })
  const { policy } = upstream
  await using gateway = await startGateway({ policy, bodies })
  await using other = await startGateway({ policy, bodies })
  const waiting = gateway.ask({ path, body: bodyOf('x'.repeat(30 * mebibyte)) })
  await until(() => upstream.open.length === 1)
  const begun = await beginBody(gateway, 31 * mebibyte)
  const refused = await gateway.ask({ path, body: bodyOf('x'.repeat(4 * mebibyte)) })
  assert.equal(refused.status, 529)
  assert.equal(JSON.parse(refused.text).error.type, 'overloaded_error')
  const asked = other.ask({ path, body: plain })
  await until(() => upstream.open.length === 2)
  begun.destroy()
  upstream.answer()
  assert.deepEqual([(await waiting).status, (await asked).status], [400, 400])
  await untilGiven(metrics)
})

/** Waits until nothing is held. */
function untilGiven(metrics: Metrics): Promise<void> {
  return until(async () => /gateway_body_bytes 0$/m.test((await metrics.render()).text))
}

test('bodies of all sessions together have a bound of their own', async () => {
  await using upstream = await startSlow()
  const bytesMax = mebibyte
  await using bodies = new Bodies({ log, metrics: new Metrics(), clock: systemClock, bytesMax })
  const { policy } = upstream
  await using gateway = await startGateway({ policy, bodies })
  await using other = await startGateway({ policy, bodies })
  const waiting = gateway.ask({ path, body: bodyOf('x'.repeat(bytesMax * 0.7)) })
  await until(() => upstream.open.length === 1)
  const again = bodyOf('x'.repeat(bytesMax * 0.7))
  assert.equal((await other.ask({ path, body: again })).status, 529)
  upstream.answer()
  await waiting
  const passed = other.ask({ path, body: again })
  await until(() => upstream.open.length === 1)
  upstream.answer()
  assert.equal((await passed).status, 400)
})

test('a body that comes in small pieces takes what its pieces take', async () => {
  await using upstream = await startSlow()
  await using gateway = await startGateway(upstream)
  const head = `POST ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n`
  const pieces = `40\r\n${' '.repeat(64)}\r\n`.repeat(150_000)
  const bytes = `${head}transfer-encoding: chunked\r\n\r\n${pieces}0\r\n\r\n`
  assert.match(await askRaw(gateway.socketPath, bytes), /^HTTP\/1\.1 529 /)
})

test('a session has 32 requests to the model under way at most', async () => {
  await using upstream = await startSlow()
  await using gateway = await startGateway(upstream)
  const all = Array.from({ length: 32 }, () => gateway.ask({ path, body: plain }))
  await until(() => upstream.open.length === 32)
  const refused = await gateway.ask({ path: `${path}/count_tokens`, body: plain })
  assert.deepEqual([refused.status, refused.headers['retry-after']], [529, '1'])
  upstream.answer()
  await Promise.all(all)
  const passed = gateway.ask({ path, body: plain })
  await until(() => upstream.open.length === 1)
  upstream.answer()
  assert.equal((await passed).status, 400)
})

test('a body that does not end is given up after a minute', async () => {
  await using upstream = await startSlow()
  const clock = new ManualClock()
  const metrics = new Metrics()
  await using bodies = new Bodies({ log, metrics, clock })
  await using gateway = await startGateway({ policy: upstream.policy, clock, bodies })
  const socket = await beginBody(gateway, mebibyte)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const held = async () => !/gateway_body_bytes 0$/m.test((await metrics.render()).text)
  while (!(await held())) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(60_000)
  await closed
  await untilGiven(metrics)
})
