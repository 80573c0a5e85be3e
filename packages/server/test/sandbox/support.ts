import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import { detectDisk } from '../../src/sandbox/disk/detect.ts'
import { mountsBelow, unmountImage } from '../../src/sandbox/disk/image.ts'
import type {
  ExecOptions,
  ExecResult,
  Sandbox,
  SandboxDriver,
  SandboxLimits,
} from '../../src/sandbox/driver.ts'
import { defaultLimits, narrowUids } from '../../src/sandbox/limits.ts'
import { takeUidRange } from '../../src/sandbox/uid-range.ts'
import { until as untilSo } from '../support/until.ts'

export const never = new AbortController().signal

/**
 * The uid of slot 0 in this test file, until its process ends. Files run at once, and those of other
 * checkouts too: what one of them starts, counts and ends by its uid must be nobody else's.
 */
export const uidBase = process.getuid?.() === 0 ? await takeUids() : narrowUids.base

async function takeUids(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'lh-'))
  const o = { dataDir: directory, base: null, clock: systemClock, signal: never }
  const { base } = await takeUidRange(o)
  await rm(directory, { recursive: true })
  return base
}

/** A driver with a data directory of its own; disposing removes both and what was opened. */
export interface Bench extends AsyncDisposable {
  readonly dataDir: string
  readonly driver: SandboxDriver
  open(slot: number, name?: string, limits?: Partial<SandboxLimits>): Promise<Sandbox>
}

export async function openBench(
  o: {
    kind?: 'bubblewrap' | 'none'
    path?: string
    dataDir?: string
    proc?: string
    clock?: Clock
    uidBase?: number
  } = {},
): Promise<Bench> {
  const dataDir = o.dataDir ?? (await mkdtemp(join(tmpdir(), 'lh-')))
  await chmod(dataDir, 0o711)
  const driver = createSandboxDriver({
    kind: o.kind ?? 'bubblewrap',
    dataDir,
    log: createLog('silent'),
    clock: o.clock ?? systemClock,
    uidBase: o.uidBase ?? uidBase,
    ...(o.path === undefined ? {} : { path: o.path }),
    ...(o.proc === undefined ? {} : { proc: o.proc }),
  })
  const opened: Sandbox[] = []
  // A test's clock keeps no process alive, and the end of a sandbox waits by it.
  const alive = o.clock && setInterval(() => undefined, 1000)
  return {
    dataDir,
    driver,
    async open(slot, name = `sesn_${slot}`, limits = {}) {
      const sandbox = await driver.open({
        sessionId: name,
        directory: join(dataDir, 'sessions', name),
        slot,
        limits: { ...defaultLimits, ...limits },
        env: { FROM_SPEC: 'spec' },
        gitRewrite: [{ from: 'https://git.example/' }, { from: 'git@git.example:' }],
      })
      opened.push(sandbox)
      return sandbox
    },
    async [Symbol.asyncDispose]() {
      for (const sandbox of opened) await sandbox[Symbol.asyncDispose]()
      // A server that a test killed leaves its mounts.
      for (const at of await mountsBelow(dataDir))
        await unmountImage({ at, path: '/usr/bin:/bin' }, systemClock)
      await rm(dataDir, { recursive: true, force: true })
      clearInterval(alive)
    },
  }
}

/** False where sessions have a file system of their own; else why a test of that is left out. */
export async function skipWithoutImages(): Promise<false | string> {
  const directory = await mkdtemp(join(tmpdir(), 'lh-'))
  await chmod(directory, 0o711)
  const path = '/usr/bin:/bin:/usr/sbin:/sbin'
  const { disk } = await detectDisk({ sessions: directory, path, clock: systemClock })
  await rm(directory, { recursive: true })
  if (disk === 'loop') return false
  return 'this host cannot mount images: a server that is root, with loop devices, can'
}

export function sh(
  sandbox: Sandbox,
  script: string,
  o: Partial<ExecOptions> = {},
): Promise<ExecResult> {
  return sandbox.exec(['/bin/bash', '-c', script], {
    network: false,
    timeoutMs: 60_000,
    outputBytesMax: 1_000_000,
    signal: never,
    ...o,
  })
}

/** Numbers of the living processes of a host uid. */
export async function pidsOfUid(uid: number): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    names.map(async (name) => {
      const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '')
      return status.includes(`\nUid:\t${uid}\t`) && !/^State:\t[ZX]/m.test(status) ? [+name] : []
    }),
  )
  return found.flat()
}

/** Of them, those that a command brought: without the launch that waits for the next one. */
export async function commandPidsOfUid(uid: number): Promise<number[]> {
  return (await pidsOfUid(uid)).filter((pid) => !isWaitingLaunch(pid))
}

/** Launches that wait for a command, of sandboxes that this process has open. */
export async function waitingLaunches(): Promise<number[]> {
  return childrenOf(process.pid).filter(isWaitingLaunch)
}

/** A bwrap of the host's own pid namespace that has started nothing, or what is about to be one. */
function isWaitingLaunch(pid: number): boolean {
  try {
    const isLaunch = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('bwrap\0--args\0')
    const isOutside = /^NSpid:\t\d+$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return isLaunch && isOutside && childrenOf(pid).length === 0
  } catch {
    return false // Gone meanwhile.
  }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

/** Waits for a condition; fails after `limitMs`. */
export function until(
  condition: () => boolean | Promise<boolean>,
  limitMs?: number,
): Promise<void> {
  return untilSo('what was waited for', condition, limitMs)
}
