/**
 * What an attack has the server read, on the event loop that everybody shares: little of it, which is
 * dear to read. Each gives up by itself where its wall is gone.
 */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { startUpstream } from '../gateway/harness.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { attack, nodeScript } from './attack.ts'
import { asking, openWayOut } from './way-out.ts'

const network = { network: true }
let bench: Bench
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** Writes to the gateway what `bytes` is, a JavaScript expression; prints the answer, and whether it is cut off. */
function sending(sandbox: Sandbox, bytes: string, first = ''): string {
  return nodeScript(
    sandbox,
    `const socket = require('node:net').connect(3128, '127.0.0.1')
    const end = (how) => { console.log('\\n' + how); process.exit() }
    socket.on('error', () => {}).on('close', () => end('cut off'))
    setTimeout(() => end('heard to the end'), 3000)
    if ('${first}' === '') socket.write(${bytes})
    else { socket.write('${first}'); socket.once('data', () => socket.write(${bytes})) }
    socket.pipe(process.stdout)`,
  )
}

test('a ClientHello in records of a byte each is not put together', async () => {
  await using server = await startUpstream(() => undefined)
  const target = { host: 'listed.example', port: server.port }
  await using wayOut = await openWayOut(bench, 921, {
    policy: { connect: [target], allowPrivate: [target] },
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
  })
  const records =
    'Buffer.from([1, 0, 62, 128, ...Array(96).fill(3)].flatMap((b) => [22, 3, 1, 0, 1, b]))'
  const asks = `CONNECT ${target.host}:${target.port} HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n`
  const { stdout } = await attack(wayOut.sandbox, sending(wayOut.sandbox, records, asks), network)
  assert.match(stdout, /^cut off$/m, 'the canary limit of 16 records was crossed')
})

const denied = 'GET /x HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n'

test('of many requests in one packet one is answered', async () => {
  await using wayOut = await openWayOut(bench, 922, {})
  const asks = `'${denied}'.repeat(100)`
  const { stdout } = await attack(wayOut.sandbox, sending(wayOut.sandbox, asks), network)
  const answered = stdout.split('HTTP/1.1 ').length - 1
  assert.ok(answered <= 1, `the canary limit of one request was crossed: ${answered}`)
})

test('a connection has no more requests under way than one', async () => {
  // Of one host there would be one look-up for all.
  const hosts = ['a.example', 'b.example', 'c.example']
  let asked = 0
  await using wayOut = await openWayOut(bench, 923, {
    policy: { connect: hosts.map((host) => ({ host, port: 80 })) },
    lookup: () => {
      asked += 1
      return new Promise<never>(() => {})
    },
  })
  // Each in a packet of its own.
  const script = nodeScript(
    wayOut.sandbox,
    `const socket = require('node:net').connect(3128, '127.0.0.1')
    socket.setNoDelay().on('error', () => {}).on('close', () => process.exit())
    let left = 20
    const host = () => 'abc'[left % 3] + '.example'
    setInterval(() => left-- > 0 ? socket.write('GET http://' + host() + '/ HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n') : process.exit(), 50)`,
  )
  await attack(wayOut.sandbox, script, network)
  assert.ok(asked <= 1, `the canary limit of one request was crossed: ${asked}`)
})

const chunked = 'POST /x HTTP/1.1\\r\\nhost: x\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n'

test('a body in chunks of a byte each is not read to its end', async () => {
  await using wayOut = await openWayOut(bench, 924, {})
  const asks = `'${chunked}' + '1\\r\\nx\\r\\n'.repeat(20000) + '0\\r\\n\\r\\n'`
  const { stdout } = await attack(wayOut.sandbox, sending(wayOut.sandbox, asks), network)
  assert.ok(!stdout.includes('HTTP/1.1 403'), 'the canary limit of 1,000 pieces was crossed')
})

test('a host that answers in chunks of a byte each is not heard to the end', async () => {
  const chunks = [...Array.from({ length: 50_000 }, () => 'x'), 'whole']
  await using server = await startUpstream((_request, response) =>
    pipeline(Readable.from(chunks), response).catch(() => {}),
  )
  const target = { host: 'listed.example', port: server.port }
  await using wayOut = await openWayOut(bench, 925, {
    policy: { connect: [target], allowPrivate: [target] },
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
    clock: new ManualClock(),
  })
  const asks = asking(wayOut.sandbox, {
    path: `http://${target.host}:${target.port}/`,
    headers: { host: target.host },
  })
  const { stdout } = await attack(wayOut.sandbox, asks, network)
  assert.ok(!stdout.includes('whole'), 'the canary limit of 4,000 pieces was crossed')
})
