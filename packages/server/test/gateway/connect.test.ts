import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import type { Lookup } from '../../src/gateway/resolve.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { askRaw, startGateway, startUpstream, until } from './harness.ts'

const lookups: Record<string, string> = {
  'registry.example': '127.0.0.1',
  'metadata.example': '169.254.169.254',
  'mapped.example': '::ffff:169.254.169.254',
}
const lookup: Lookup = async (host) => {
  const address = lookups[host]
  if (address === undefined) throw new Error(`${host} is unknown`)
  return [{ address, family: address.includes(':') ? 6 : 4 }]
}

function connectTo(authority: string): string {
  return `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\nproxy-authorization: Basic x\r\n\r\n`
}

test('a tunnel to an allowed host carries bytes both ways, and each way ends by itself', async () => {
  await using upstream = await startUpstream((_request, response, body) => response.end(body))
  const target = { host: 'registry.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  const socket = connect(gateway.socketPath)
  socket.write(connectTo(`registry.example:${upstream.port}`))
  const [established] = await once(socket, 'data')
  assert.match(String(established), /^HTTP\/1.1 200 /)
  const body = 'x'.repeat(300_000)
  socket.end(
    `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  assert.ok(Buffer.concat(chunks).toString().endsWith(body))
  assert.equal(upstream.requests[0]?.headers['proxy-authorization'], undefined)
})

test('the address that was judged is dialled, though the name would resolve again', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('here'))
  let asked = 0
  const target = { host: 'registry.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup: async () => {
      asked += 1
      return [{ address: asked === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }]
    },
  })
  const answer = await gateway.ask({ path: `http://registry.example:${upstream.port}/x` })
  assert.deepEqual([answer.status, answer.text, asked], [200, 'here', 1])
})

const denied = [
  ['unlisted.example:443', /Something wanted unlisted.example:443, .*GATEWAY_ALLOW may list it/],
  ['registry.example:22', /GATEWAY_ALLOW/],
  ['registry.example.evil.example:443', /GATEWAY_ALLOW/],
  ['127.0.0.1:443', /GATEWAY_ALLOW/],
  ['169.254.169.254:80', /GATEWAY_ALLOW/],
  ['[::1]:443', /GATEWAY_ALLOW/],
  ['10.0.0.1:443', /is an IP address.*GATEWAY_ALLOW_PRIVATE/],
  ['167772161:443', /is an IP address/],
  ['0xa000001:443', /is an IP address/],
  ['registry.example:443', /loopback.*GATEWAY_ALLOW_PRIVATE may list registry.example:443/],
  ['metadata.example:443', /link-local/],
  ['mapped.example:443', /IPv4 address in IPv6 form/],
] as const
test('CONNECT is refused, naming the setting', async (t) => {
  await using gateway = await startGateway({
    policy: {
      connect: ['registry.example', 'metadata.example', 'mapped.example', '10.0.0.1'].map(
        (host) => ({ host, port: 443 }),
      ),
    },
    lookup,
  })
  for (const [authority, reason] of denied)
    await t.test(authority, async () => {
      const answer = await askRaw(gateway.socketPath, connectTo(authority))
      assert.match(answer, /^HTTP\/1.1 403 Forbidden/)
      assert.match(answer, reason)
      assert.equal(gateway.denials.at(-1)?.route, 'connect')
    })
})

test('a host listed as private is reached only on its listed port', async () => {
  await using upstream = await startUpstream((_request, response) => response.end())
  const host = 'registry.example'
  await using gateway = await startGateway({
    policy: { connect: [{ host, port: upstream.port }], allowPrivate: [{ host, port: 1 }] },
    lookup,
  })
  const answer = await askRaw(gateway.socketPath, connectTo(`${host}:${upstream.port}`))
  assert.match(answer, /^HTTP\/1.1 403 /)
})

for (const authority of ['', 'host', 'host:0', 'host:99999', 'a b:443', '[::1:443'])
  test(`CONNECT ${JSON.stringify(authority)} is a bad request`, async () => {
    await using gateway = await startGateway()
    assert.match(await askRaw(gateway.socketPath, connectTo(authority)), /^HTTP\/1.1 400 /)
  })

test('a host that cannot be resolved or reached is a bad gateway', async () => {
  await using gateway = await startGateway({
    policy: {
      connect: ['gone.example', 'registry.example'].map((host) => ({ host, port: 9 })),
      allowPrivate: [{ host: 'registry.example', port: 9 }],
    },
    lookup,
  })
  for (const host of ['gone.example', 'registry.example'])
    assert.match(await askRaw(gateway.socketPath, connectTo(`${host}:9`)), /^HTTP\/1.1 502 /)
})

test('plain HTTP to an allowed host passes without its credentials', async () => {
  await using upstream = await startUpstream((_request, response, body) => {
    response.setHeader('connection', 'close')
    response.end(`got ${body}`)
  })
  const target = { host: 'registry.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  const answer = await gateway.ask({
    path: `http://registry.example:${upstream.port}/pkg?x=1`,
    headers: {
      authorization: 'Bearer canary',
      cookie: 'canary',
      'proxy-authorization': 'canary',
      'x-api-key': 'canary',
      'x-hop': 'canary',
      connection: 'x-hop',
      'x-kept': 'yes',
    },
    body: 'data',
  })
  assert.deepEqual([answer.status, answer.text], [200, 'got data'])
  const seen = upstream.requests[0]
  assert.equal(seen?.path, '/pkg?x=1')
  assert.equal(seen?.headers['x-kept'], 'yes')
  assert.ok(!JSON.stringify(seen?.headers).includes('canary'))
})

test('a body without a length is a body of any method over plain HTTP', async () => {
  await using upstream = await startUpstream((_request, response, body) => response.end(body))
  const target = { host: 'registry.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  const head = `DELETE http://registry.example:${upstream.port}/x HTTP/1.1\r\nhost: x\r\n`
  const framing = 'connection: close\r\ntransfer-encoding: chunked\r\n\r\n'
  await askRaw(gateway.socketPath, `${head}${framing}4\r\ndata\r\n0\r\n\r\n`)
  assert.deepEqual(
    upstream.requests.map(({ method, body }) => [method, body]),
    [['DELETE', 'data']],
  )
})

/** A gateway that lets a host be reached whose answers are `chunks`, each one of its own. */
async function answering(chunks: readonly string[]) {
  const upstream = await startUpstream(async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    await pipeline(Readable.from(chunks), response).catch(() => {})
  })
  const target = { host: 'registry.example', port: upstream.port }
  const policy = { connect: [target], allowPrivate: [target] }
  const gateway = await startGateway({ policy, lookup, clock: new ManualClock() })
  return {
    ask: () => gateway.ask({ path: `http://registry.example:${upstream.port}/x` }),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

test('a long stream of small events passes, however fast', async () => {
  const delta = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a' } }
  const event = `event: content_block_delta\ndata: ${JSON.stringify(delta)}\n\n`
  const ping = 'event: ping\ndata: {"type": "ping"}\n\n'
  const chunks = Array.from({ length: 20_000 }, (_, n) => (n % 10 === 0 ? ping : event))
  await using host = await answering(chunks)
  assert.equal((await host.ask()).text, chunks.join(''))
})

test('an answer in a flood of tiny pieces is cut, and so are those beside it', async () => {
  await using host = await answering(Array.from({ length: 50_000 }, () => 'x'))
  const beside = Promise.allSettled([host.ask(), host.ask()])
  await assert.rejects(host.ask(), { code: 'ECONNRESET' })
  for (const { status } of await beside) assert.equal(status, 'rejected')
})

test('a host that answers before its answer does so a few times', async () => {
  await using upstream = await startUpstream((_request, response) => {
    for (let n = 0; n < 100; n += 1) response.writeEarlyHints({ link: '</x>' })
    response.end('late')
  })
  const target = { host: 'registry.example', port: upstream.port }
  const policy = { connect: [target], allowPrivate: [target] }
  await using gateway = await startGateway({ policy, lookup })
  const answer = await gateway.ask({ path: `http://registry.example:${upstream.port}/x` })
  assert.equal(answer.status, 502)
})

test('plain HTTP to any other host is refused', async () => {
  await using gateway = await startGateway()
  assert.equal((await gateway.ask({ path: 'http://evil.example/' })).status, 403)
  assert.equal(gateway.denials[0]?.route, 'http')
  assert.equal((await gateway.ask({ path: 'https://evil.example/' })).status, 400)
  assert.equal((await gateway.ask({ path: 'http://u:p@evil.example/' })).status, 400)
  assert.equal((await gateway.ask({ path: '/etc/passwd' })).status, 403)
})

test('closing the gateway ends tunnels at once and leaves no handle', async () => {
  const before = handles()
  {
    await using upstream = await startUpstream(() => {})
    const target = { host: 'registry.example', port: upstream.port }
    await using gateway = await startGateway({
      policy: { connect: [target], allowPrivate: [target] },
      lookup,
    })
    const socket = connect(gateway.socketPath)
    socket.write(connectTo(`registry.example:${upstream.port}`))
    await once(socket, 'data')
    const pending = gateway.ask({ path: `http://registry.example:${upstream.port}/hangs` })
    pending.catch(() => {})
    await until(() => upstream.requests.length === 1)
    await gateway.gateway[Symbol.asyncDispose]()
    await assert.rejects(pending)
    if (!socket.closed) await once(socket.resume(), 'close')
    await assert.rejects(gateway.ask({ path: '/' }), /ENOENT/)
  }
  // Those of earlier tests may have closed meanwhile.
  await until(() => handles().length <= before.length)
})

function handles(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|Pipe)/.test(name))
}
