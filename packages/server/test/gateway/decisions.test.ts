/** What a gateway tells its owner about everything that was asked of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../support/manual-clock.ts'
import { askRaw, startGateway, startUpstream, until } from './harness.ts'

const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
const connectTo = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nhost: x\r\n\r\n`

test('every request is told once, with its verdict and its bytes both ways', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('y'.repeat(5000)))
  const target = { host: 'files.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  await gateway.ask({ path: `http://files.example:${upstream.port}/`, body: 'x'.repeat(3000) })
  await askRaw(gateway.socketPath, connectTo('evil.example:443'))
  await gateway.ask({ path: '/unknown' })
  await gateway.ask({ path: '/git/acme/app/info/refs?service=git-upload-pack' })
  await gateway.ask({ path: '/anthropic/v1/messages', body: '{}' })
  await gateway.ask({ path: '/mcp/none' })
  await until(() => gateway.decisions.length === 6)
  assert.deepEqual(
    gateway.decisions.map(({ route, host, verdict, count }) => [route, host, verdict, count]),
    [
      ['http', 'files.example', 'allowed', 1],
      ['connect', 'evil.example', 'denied', 1],
      ['gateway', '', 'denied', 1],
      ['git', 'git', 'denied', 1],
      ['anthropic', 'model', 'denied', 1],
      ['mcp', 'mcp', 'denied', 1],
    ],
  )
  const { bytes_in: received = 0, bytes_out: sent = 0 } = gateway.decisions[0]?.sums ?? {}
  assert.ok(received > 5000 && received < 6000, `${received}`)
  assert.ok(sent > 3000 && sent < 4000, `${sent}`)
})

test('a tunnel is told when it is over, with what went through it', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('y'.repeat(9000)))
  const target = { host: 'files.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  const request = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
  await askRaw(gateway.socketPath, connectTo(`files.example:${upstream.port}`) + request)
  await until(() => gateway.decisions.length === 1)
  const [decision] = gateway.decisions
  assert.equal(decision?.sums['bytes_out'], request.length)
  assert.ok((decision?.sums['bytes_in'] ?? 0) > 9000)
})

test('of a flood of denials a bounded number is told, and the counts add up', async () => {
  const clock = new ManualClock()
  await using gateway = await startGateway({ clock })
  for (let n = 0; n < 300; n += 1) {
    await askRaw(gateway.socketPath, connectTo('evil.example:443'))
    await askRaw(gateway.socketPath, connectTo(`evil-${n}.example:443`))
  }
  assert.ok(gateway.denials.length <= 61, `${gateway.denials.length}`)
  clock.advance(60_000)
  const counted = (host: string) =>
    gateway.denials.filter((each) => each.host === host).map(({ count }) => count)
  assert.deepEqual(counted('evil.example'), [1, 299])
  assert.equal(gateway.denials.length, 62)
  const sum = (of: readonly { count: number }[]) => of.reduce((n, { count }) => n + count, 0)
  assert.equal(sum(gateway.denials), 600)
  assert.equal(sum(gateway.decisions), 600)
  await askRaw(gateway.socketPath, connectTo('evil.example:443'))
  assert.deepEqual(counted('evil.example'), [1, 299, 1])
})

test('what a loop gathered is told when the gateway closes', async () => {
  const { decisions } = await (async () => {
    await using gateway = await startGateway()
    for (let n = 0; n < 5; n += 1) await askRaw(gateway.socketPath, connectTo('evil.example:443'))
    return gateway
  })()
  assert.deepEqual(
    decisions.map(({ count }) => count),
    [1, 4],
  )
})

test('nothing is let out while the audit cannot be written', async () => {
  await using upstream = await startUpstream((_request, response) => response.end())
  const target = { host: 'files.example', port: upstream.port }
  let behind = true
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    isAuditBehind: () => behind,
    lookup,
  })
  const path = `http://files.example:${upstream.port}/`
  const answer = await gateway.ask({ path })
  assert.equal(answer.status, 503)
  assert.match(answer.text, /audit cannot be written/)
  const tunnel = await askRaw(gateway.socketPath, connectTo(`files.example:${upstream.port}`))
  assert.match(tunnel, /^HTTP\/1.1 503 /)
  assert.equal(upstream.requests.length, 0)
  behind = false
  assert.equal((await gateway.ask({ path })).status, 200)
})
