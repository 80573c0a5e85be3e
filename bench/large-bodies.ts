import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { systemClock as clock } from '../packages/server/src/clock.ts'
import { openGateway } from '../packages/server/src/gateway/server.ts'
import { createLog } from '../packages/server/src/log.ts'
import { Metrics } from '../packages/server/src/metrics.ts'
import { startProber } from '../packages/server/test/support/prober.ts'
import type { Bench } from './entry.ts'
import { hooks } from './gateway.ts'

/** Close to the most that a body may have; two of them fit into what a session may have at once. */
const contentBytes = 31 * 1000 * 1000
const atOnce = 2
/** Of each half, without the bodies and with them. */
const measuredMs = 8000
/** An answer that comes this soon is as good as any; a ratio would measure what else the machine does. */
const soonMs = 20

/** What a hostile session's requests cost everybody else. */
export const largeBodies: Bench = {
  entries: [
    {
      name: 'large-bodies-p95',
      what: 'an answer over HTTP while a session sends bodies of 31 MB over and over, against one before, or 20 ms if that is more',
      unit: 'ratio',
      aim: { atMost: 5 },
    },
  ],
  async measure(signal) {
    await using opened = new AsyncDisposableStack()
    const url = await serve(opened)
    const directory = await mkdtemp(join(tmpdir(), 'longhaul-bench-'))
    opened.defer(() => rm(directory, { recursive: true, force: true }))
    const socketPath = join(directory, 'gateway')
    opened.use(
      await openGateway({
        ...{ socketPath, ownerUid: null, hooks, clock, budget: { limitUsd: null, spentUsd: 0 } },
        policy: {
          ...{ model: { baseUrl: new URL(url), headers: {} }, git: null, github: null, mcp: [] },
          ...{ secrets: [], network: 'limited', connect: [], allowPrivate: [] },
        },
        log: createLog('silent'),
        metrics: new Metrics(),
      }),
    )
    const questions = { health: '/health' }
    const prober = opened.use(startProber({ url, key: '', questions }))
    const p95Ms = async (): Promise<number> => {
      await clock.sleep(measuredMs, signal)
      const { health } = await prober.take()
      if (health === undefined || health.failures.length > 0) throw new Error('no health')
      return health.p95Ms
    }
    const idleMs = await p95Ms()
    const sender = new Worker(new URL('./large-bodies-sender.ts', import.meta.url), {
      workerData: { socketPath, contentBytes, atOnce },
    })
    opened.defer(() => sender.terminate().then(() => undefined))
    await once(sender, 'message', { signal })
    await prober.take()
    return { 'large-bodies-p95': (await p95Ms()) / Math.max(idleMs, soonMs) }
  },
}

/** The provider and the server's own routes in one: both only answer. */
async function serve(opened: AsyncDisposableStack): Promise<string> {
  const server = createServer((asked, response) => {
    asked.resume().once('end', () => response.end('{}'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.defer(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
