/**
 * What an attack has the server read, on the event loop that everybody shares: little of it, which is
 * dear to read. Each gives up by itself where its wall is gone.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { startUpstream } from '../gateway/harness.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { attack, nodeScript } from './attack.ts'
import { openWayOut } from './way-out.ts'

const network = { network: true }
let bench: Bench
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** Writes to the gateway what `bytes` is, a JavaScript expression; prints whether it is cut off. */
function sending(sandbox: Sandbox, bytes: string, first = ''): string {
  return nodeScript(
    sandbox,
    `const socket = require('node:net').connect(3128, '127.0.0.1')
    const end = (how) => { console.log(how); process.exit() }
    socket.on('error', () => {}).on('close', () => end('cut off'))
    setTimeout(() => end('heard to the end'), 3000)
    if ('${first}' === '') socket.write(${bytes})
    else { socket.write('${first}'); socket.once('data', () => socket.write(${bytes})) }
    socket.resume()`,
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
