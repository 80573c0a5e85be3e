import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '../packages/server/src/clock.ts'
import type { GatewayHooks } from '../packages/server/src/gateway/policy.ts'
import { openGateway } from '../packages/server/src/gateway/server.ts'
import { createLog } from '../packages/server/src/log.ts'
import { Metrics } from '../packages/server/src/metrics.ts'
import { type Bench, median } from './entry.ts'

const downloadBytes = 64 * 1024 * 1024
/** By turns, so that a busy moment of the machine meets both. */
const rounds = 7

/** What the gateway costs a download. */
export const gateway: Bench = {
  entries: [
    {
      name: 'gateway-throughput',
      what: 'a download of 64 MB through a tunnel of the gateway, against a connection without it, in bytes a second',
      unit: 'ratio',
      aim: { atLeast: 0.3 },
    },
  ],
  async measure(signal) {
    await using opened = new AsyncDisposableStack()
    const port = await serve(opened)
    const directory = await mkdtemp(join(tmpdir(), 'longhaul-bench-'))
    opened.defer(() => rm(directory, { recursive: true, force: true }))
    const socketPath = join(directory, 'gateway')
    const target = { host: 'files.example', port }
    opened.use(
      await openGateway({
        ...{ socketPath, ownerUid: null, hooks, clock, budget: { limitUsd: 0, spentUsd: 0 } },
        policy: {
          ...{ model: null, git: null, github: null, mcp: [], secrets: [], network: 'limited' },
          ...{ connect: [target], allowPrivate: [target] },
        },
        lookup: async () => [{ address: '127.0.0.1', family: 4 }],
        log: createLog('silent'),
        metrics: new Metrics(),
      }),
    )
    const ratios: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      signal.throwIfAborted()
      const directMs = await downloadMs(connect(port, '127.0.0.1'), null)
      const throughMs = await downloadMs(connect(socketPath), `${target.host}:${port}`)
      ratios.push(directMs / throughMs)
    }
    return { 'gateway-throughput': median(ratios) }
  },
}

/** A gateway that is asked by nobody but the benchmark. */
export const hooks: GatewayHooks = {
  beforeModelRequest: async () => undefined,
  beforeParking: async () => undefined,
  isHeld: async () => true,
  mayPush: async () => null,
  mayComment: async () => null,
  onCommented: () => undefined,
  onUsage: async () => undefined,
  onQuota: () => undefined,
  onSilence: () => undefined,
  onRefused: () => undefined,
  onDenied: () => undefined,
  onDecision: () => undefined,
  isAuditBehind: () => false,
}

/** Sends the bytes to whoever says something. */
async function serve(opened: AsyncDisposableStack): Promise<number> {
  const content = Buffer.alloc(downloadBytes, 'x')
  const server = createServer((socket) => {
    socket.once('data', () => socket.end(content)).on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.defer(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** From the request to the last byte; the tunnel is open by then. */
async function downloadMs(socket: Socket, authority: string | null): Promise<number> {
  if (authority !== null) {
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n\r\n`)
    await once(socket, 'data')
  } else await once(socket, 'connect')
  const begun = performance.now()
  socket.write('go\n')
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await once(socket, 'end')
  if (bytes !== downloadBytes) throw new Error(`${bytes} bytes came`)
  return performance.now() - begun
}
