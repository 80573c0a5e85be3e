import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock as clock } from '../packages/server/src/clock.ts'
import { openGateway } from '../packages/server/src/gateway/server.ts'
import { createLog } from '../packages/server/src/log.ts'
import { Metrics } from '../packages/server/src/metrics.ts'
import { createSandboxDriver } from '../packages/server/src/sandbox/create.ts'
import { detectDisk } from '../packages/server/src/sandbox/disk/detect.ts'
import { openDisk } from '../packages/server/src/sandbox/disk/disk.ts'
import type { Sandbox, SandboxDriver } from '../packages/server/src/sandbox/driver.ts'
import { defaultLimits } from '../packages/server/src/sandbox/limits.ts'
import { type Bench, median } from './entry.ts'
import { hooks } from './gateway.ts'

/** By turns, so that a busy moment of the machine meets both. */
const commands = 80
/** Sessions that are opened, after one that finds out what the host has. */
const sessions = 7
const commandMsMax = 30_000
const slot = 990
const log = createLog('silent')

/** What the walls cost: another command in an open session, and a session that is opened. */
export const sandbox: Bench = {
  entries: [
    {
      name: 'further-command',
      what: 'a further command in an open session, beyond a plain start of the same program (median)',
      unit: 'ms',
      aim: { atMost: 10 },
    },
    {
      name: 'open-session',
      what: 'opening a session until its first command has run, by the steps below (median)',
      unit: 'ms',
      aim: { atMost: 300 },
    },
    {
      name: 'open-disk',
      what: 'the same, only its disk: a file system in an image, or what counts files (median)',
      unit: 'ms',
      aim: { atMost: 150 },
    },
    {
      name: 'open-walls',
      what: 'the same, its disk, directories and control group (median)',
      unit: 'ms',
      aim: { atMost: 200 },
    },
    {
      name: 'open-gateway',
      what: 'the same, its gateway’s socket (median)',
      unit: 'ms',
      aim: { atMost: 20 },
    },
    {
      name: 'open-first-command',
      what: 'the same, its first command, with the bridge to the gateway (median)',
      unit: 'ms',
      aim: { atMost: 80 },
    },
  ],
  async measure(signal) {
    await using opened = new AsyncDisposableStack()
    const dataDir = await mkdtemp('/var/tmp/longhaul-bench-')
    await chmod(dataDir, 0o711)
    opened.defer(() => rm(dataDir, { recursive: true, force: true }))
    const driver = createSandboxDriver({ ...{ kind: 'bubblewrap', dataDir, log, clock } })
    const open = (n: number, use: (open: Sandbox) => Promise<void> = async () => undefined) =>
      openOnce({ driver, dataDir, name: `bench_${n}`, signal, use })
    // The first one finds out what its host has.
    await open(0)
    const steps: Steps[] = []
    for (let n = 1; n <= sessions; n += 1)
      steps.push({ ...(await open(n)), diskMs: await diskMs(dataDir) })
    const beyond: number[] = []
    await open(sessions + 1, async (inside) => {
      for (let n = 0; n < commands; n += 1) {
        const plainMs = await timed(plain)
        beyond.push((await timed(() => run(inside, { network: false, signal }))) - plainMs)
      }
    })
    const step = (of: (one: Steps) => number): number => median(steps.map(of))
    return {
      'further-command': median(beyond),
      'open-session': step(({ wallsMs, gatewayMs, firstMs }) => wallsMs + gatewayMs + firstMs),
      'open-disk': step(({ diskMs }) => diskMs),
      'open-walls': step(({ wallsMs }) => wallsMs),
      'open-gateway': step(({ gatewayMs }) => gatewayMs),
      'open-first-command': step(({ firstMs }) => firstMs),
    }
  },
}

/** Milliseconds that each step of opening a session took. */
interface Steps {
  /** With its disk. */
  readonly wallsMs: number
  /** Of a disk alone. */
  readonly diskMs: number
  readonly gatewayMs: number
  readonly firstMs: number
}

/** A session's disk without the rest of it; it is removed afterwards. */
async function diskMs(dataDir: string): Promise<number> {
  const sessions = join(dataDir, 'sessions')
  const root = join(sessions, 'bench_disk')
  const path = '/usr/sbin:/usr/bin:/sbin:/bin'
  const { disk: kind } = await detectDisk({ sessions, path, clock })
  await mkdir(root)
  const begun = performance.now()
  const { diskBytes: bytesMax, tmpBytes: tmpBytesMax } = defaultLimits
  const disk = await openDisk({ root, kind, bytesMax, tmpBytesMax, path, clock, log })
  const tookMs = performance.now() - begun
  await disk.discard()
  await rm(root, { recursive: true, force: true })
  return tookMs
}

/** Opens a session as the server does, does what is to be done in it, and removes it. */
async function openOnce(o: {
  readonly driver: SandboxDriver
  readonly dataDir: string
  readonly name: string
  readonly signal: AbortSignal
  readonly use: (open: Sandbox) => Promise<void>
}): Promise<Omit<Steps, 'diskMs'>> {
  const { driver, dataDir, name: sessionId, signal, use } = o
  const begun = performance.now()
  const open = await driver.open({
    ...{ sessionId, directory: join(dataDir, 'sessions', sessionId), slot },
    ...{ limits: defaultLimits, env: {}, gitRewrite: [] },
  })
  try {
    const walled = performance.now()
    await using _gateway = await openGateway({
      ...{ socketPath: open.paths.gatewaySocket, ownerUid: open.uid, hooks, clock },
      policy: {
        ...{ model: null, git: null, github: null, mcp: [], secrets: [], network: 'limited' },
        ...{ connect: [], allowPrivate: [] },
      },
      budget: { limitUsd: 0, spentUsd: 0 },
      log,
      metrics: new Metrics(),
    })
    const listening = performance.now()
    await run(open, { network: true, signal })
    const ran = performance.now()
    await use(open)
    return { wallsMs: walled - begun, gatewayMs: listening - walled, firstMs: ran - listening }
  } finally {
    await open.destroy()
  }
}

async function run(
  open: Sandbox,
  o: { readonly network: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const bounds = { timeoutMs: commandMsMax, outputBytesMax: 1000 }
  const { exitCode, stderr } = await open.exec(['/bin/true'], { ...o, ...bounds })
  if (exitCode !== 0) throw new Error(`a command failed: ${stderr}`)
}

async function plain(): Promise<void> {
  await once(spawn('/bin/true', [], { stdio: 'pipe' }), 'close')
}

async function timed(what: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await what()
  return performance.now() - begun
}
