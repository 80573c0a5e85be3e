/** What may go through a tunnel, once it is open: TLS to its own host. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { judgeBeginning } from '../../src/gateway/client-hello.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startGateway, until } from './harness.ts'

const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
const host = 'files.example'

/** A server that keeps what it is sent, and a gateway that lets it be reached as `files.example`. */
async function openTunnel(o: { clock?: ManualClock } = {}) {
  await using stack = new AsyncDisposableStack()
  const seen: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('data', (chunk: Buffer) => seen.push(chunk)).on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const target = { host, port }
  const policy = { connect: [target], allowPrivate: [target] }
  const gateway = stack.use(await startGateway({ policy, lookup, ...o }))
  const client = connect(gateway.socketPath)
  client.on('error', () => {})
  stack.defer(() => void client.destroy())
  client.write(`CONNECT ${host}:${port} HTTP/1.1\r\nhost: x\r\n\r\n`)
  await once(client, 'data')
  const open = stack.move()
  return {
    ...{ gateway, client, sockets },
    sent: () => Buffer.concat(seen),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** The bytes with which Node's own TLS begins a connection. */
async function helloFor(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const { port } = server.address() as AddressInfo
  const client = connectTls({ host: '127.0.0.1', port, ...(servername && { servername }) })
  client.on('error', () => {})
  const [socket] = (await accepted) as [Socket]
  const [hello] = await once(socket, 'data')
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

test('TLS to the host of the tunnel passes, in whatever pieces it comes', async () => {
  const hello = await helloFor('FILES.example')
  for (const piece of [1, 7, hello.length]) {
    await using tunnel = await openTunnel()
    for (let at = 0; at < hello.length; at += piece) {
      tunnel.client.write(hello.subarray(at, at + piece))
      if (at < 40) await new Promise((resolve) => setImmediate(resolve))
    }
    tunnel.client.write('and more')
    await until(() => tunnel.sent().length === hello.length + 8)
    assert.deepEqual(tunnel.sent().subarray(0, hello.length), hello)
  }
})

const other = 'another.example'
for (const [what, bytes, reason] of [
  ['TLS to another host', helloFor(other), /is for another host, "another\.example" \(SNI\)/],
  ['TLS to a host below it', helloFor(`a.${host}`), /is for another host/],
  ['TLS that names no host', helloFor(''), /does not say which host/],
  ['TLS records without a ClientHello', Buffer.from('160301000402000000', 'hex'), /form of TLS/],
  ['a ClientHello without an end', endless(), /form of TLS/],
  ['a ClientHello whose lengths lie', lying(), /form of TLS/],
  ['a ClientHello in 17 records', inRecords(17), /form of TLS/],
] as const)
  test(`${what} is closed before a byte of it leaves, and is told`, async () => {
    await using tunnel = await openTunnel()
    tunnel.client.write(await bytes)
    if (!tunnel.client.closed) await once(tunnel.client.resume(), 'close')
    await until(() => tunnel.gateway.denials.length === 1)
    assert.match(tunnel.gateway.denials[0]?.why ?? '', reason)
    assert.equal(tunnel.sent().length, 0)
    assert.equal(tunnel.gateway.decisions.length, 1)
  })

/** Two handshake records that promise more than any ClientHello has. */
function endless(): Buffer {
  const record = Buffer.concat([Buffer.from('1603013000', 'hex'), Buffer.alloc(0x3000)])
  record.set([1, 0, 0x40, 1], 5)
  return Buffer.concat([record, record])
}

function lying(): Buffer {
  return Buffer.concat([Buffer.from('160301002c01000028', 'hex'), Buffer.alloc(40, 0xff)])
}

/** The beginning of one of 16,000 bytes, a byte in each record. */
function inRecords(count: number): Buffer {
  const message = Buffer.alloc(count, 3)
  message.set([1, 0, 0x3e, 0x80])
  return Buffer.concat([...message].map((byte) => Buffer.from([22, 3, 1, 0, 1, byte])))
}

test('a ClientHello that comes byte by byte is looked at twice a record, not at each byte', async () => {
  const target = { host, port: 443 }
  const hello = await helloFor(host)
  const parts = [hello.subarray(5, 100), hello.subarray(100, 150), hello.subarray(150)]
  const split = Buffer.concat(
    parts.flatMap((part) => [Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part]),
  )
  const looks: string[] = []
  let bytes = 1
  while (looks.at(-1) !== 'passed') {
    const verdict = judgeBeginning(split.subarray(0, bytes), target)
    looks.push(verdict.kind)
    if (verdict.kind === 'more') {
      assert.ok(verdict.bytes > bytes && verdict.bytes <= split.length)
      bytes = verdict.bytes
    }
  }
  assert.equal(bytes, split.length)
  assert.ok(looks.length <= 7, looks.join())
})

test('a ClientHello in 16 records is waited for', () => {
  const verdict = judgeBeginning(inRecords(16), { host, port: 443 })
  assert.deepEqual(verdict, { kind: 'more', bytes: 101 })
})

test('a TLS session runs through a tunnel as if there were none', async () => {
  const psk = Buffer.from('a'.repeat(32))
  const options = {
    ciphers: 'PSK',
    maxVersion: 'TLSv1.2',
    checkServerIdentity: () => undefined,
  } as const
  const server = createTlsServer({ ...options, pskCallback: () => psk }, (socket) =>
    socket.on('data', (chunk) => socket.end(`echo ${chunk}`)),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const target = { host, port: (server.address() as AddressInfo).port }
  {
    const policy = { connect: [target], allowPrivate: [target] }
    await using gateway = await startGateway({ policy, lookup })
    const socket = connect(gateway.socketPath)
    socket.write(`CONNECT ${host}:${target.port} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await once(socket, 'data')
    const pskCallback = () => ({ psk, identity: 'i' })
    const client = connectTls({ ...options, socket, servername: host, pskCallback })
    client.write('hello')
    const chunks: Buffer[] = []
    for await (const chunk of client) chunks.push(chunk)
    assert.equal(Buffer.concat(chunks).toString(), 'echo hello')
  }
  server.close()
})

test('what is not TLS passes on a port that a list names for it, and never on 443', async () => {
  const plain = Buffer.from('GET / HTTP/1.1\r\n')
  assert.deepEqual(judgeBeginning(plain, { host, port: 8080 }), { kind: 'passed' })
  const verdict = judgeBeginning(plain, { host, port: 443 })
  assert.match(Object(verdict).why, /is not TLS, which is all that port 443 is for/)
  const byAddress = judgeBeginning(await helloFor(''), { host: '10.1.2.3', port: 443 })
  assert.deepEqual(byAddress, { kind: 'passed' })
})

test('a server that speaks first is heard, and silence of the client harms nobody', async () => {
  await using tunnel = await openTunnel()
  await until(() => tunnel.sockets.length === 1)
  tunnel.sockets[0]?.write('220 ready\r\n')
  const [greeting] = await once(tunnel.client, 'data')
  assert.equal(String(greeting), '220 ready\r\n')
})

test('a tunnel that is used for an hour is closed', async () => {
  const clock = new ManualClock()
  await using tunnel = await openTunnel({ clock })
  tunnel.client.write('x')
  await until(() => tunnel.sent().length === 1)
  clock.advance(59 * 60_000)
  tunnel.client.write('y')
  await until(() => tunnel.sent().length === 2)
  clock.advance(60_000)
  if (!tunnel.client.closed) await once(tunnel.client.resume(), 'close')
})

test('networks: none reaches nothing, unrestricted any host but private ones, on the ports of the web', async () => {
  const authority = 'anything.example:443'
  const answerOf = async (policy: object, asked = authority): Promise<string> => {
    await using gateway = await startGateway({ policy, lookup })
    const socket = connect(gateway.socketPath)
    socket.end(`CONNECT ${asked} HTTP/1.1\r\nuser-agent: npm/10.8.2 node\r\n\r\n`)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }
  const connectList = [{ host: 'anything.example', port: 443 }]
  const none = await answerOf({ network: 'none', connect: connectList, environment: 'shut' })
  assert.match(none, /npm wanted anything\.example:443; environment shut has no network\./)
  const limited = await answerOf({ environment: 'narrow' })
  assert.match(limited, /npm wanted anything\.example:443; allow it in environment narrow\./)
  const unrestricted = { network: 'unrestricted', environment: 'open' }
  assert.match(await answerOf(unrestricted), / 403 .*resolves to an address .* loopback/s)
  assert.match(await answerOf(unrestricted, '10.0.0.1:443'), / 403 .*is an IP address/s)
  assert.match(
    await answerOf(unrestricted, 'anything.example:22'),
    / 403 .*allow it in environment/s,
  )
})
