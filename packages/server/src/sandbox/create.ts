import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Gap, SandboxReport } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { ensureReachable, findClaude } from './binaries.ts'
import { openBubblewrap } from './bubblewrap.ts'
import { askBwrap } from './bwrap.ts'
import { detectDisk } from './disk/detect.ts'
import { putDisksAway } from './disk/disk.ts'
import type { SandboxDriver, SandboxSpec } from './driver.ts'
import { systemPath } from './environment.ts'
import { leftSlot } from './left-slot.ts'
import { LimitHolder } from './limits/held-limits.ts'
import { narrowUids, sharedSlot, slotsMax } from './limits.ts'
import { openNone } from './none.ts'
import { probeBubblewrap } from './probe.ts'
import { seccompProgram } from './seccomp/program.ts'
import { uncountedRules } from './seccomp/table.ts'
import { nothingHolds } from './self-test.ts'
import { ShownEtc } from './shown-etc.ts'
import { etcLinks } from './system-files.ts'

/**
 * Makes the driver that `SANDBOX` names. `path` is where bwrap, setpriv and prlimit are looked
 * for; it is never passed inside.
 */
export function createSandboxDriver(o: {
  readonly kind: 'bubblewrap' | 'none'
  readonly dataDir: string
  /** For a driver that only probes: where its sandboxes are, in the data directory. */
  readonly trials?: string
  readonly log: Log
  readonly clock: Clock
  readonly path?: string
  /** The uid of slot 0 below a root server; see `takeUidRange`. */
  readonly uidBase?: number
  /** Whether a host without control groups for memory and processes is refused by the probe. */
  readonly requireLimits?: boolean
  /** The server's directory in /proc, which says what control groups it is in. */
  readonly proc?: string
}): SandboxDriver {
  const dataDir = resolve(o.dataDir)
  const open = o.kind === 'bubblewrap' ? bubblewrapDriver({ ...o, dataDir }) : noneDriver(o)
  return {
    ...open,
    open: async (spec) => {
      checkSpec(spec, dataDir)
      return open.open(spec)
    },
  }
}

function bubblewrapDriver(o: {
  readonly dataDir: string
  readonly trials?: string
  readonly log: Log
  readonly clock: Clock
  readonly path?: string
  readonly uidBase?: number
  readonly requireLimits?: boolean
  readonly proc?: string
}): SandboxDriver {
  const {
    dataDir,
    log,
    clock,
    trials = dataDir,
    uidBase = narrowUids.base,
    requireLimits = false,
    path = `${systemPath}:/usr/local/sbin:/usr/sbin:/sbin`,
  } = o
  const bwrap = once(() => askBwrap(path))
  const disableUserns = async () => (await bwrap()).disablesUserns
  // A probe leaves nothing behind: it uses what a server has made reachable, or has its own.
  const programs = { log, dataDir: existsSync(join(dataDir, 'bin')) ? dataDir : trials }
  const claude = once(() => ensureReachable(findClaude(), { name: 'claude', ...programs }))
  const node = once(() => ensureReachable(process.execPath, { name: 'node', ...programs }))
  const shownEtc = new ShownEtc({ directory: join(trials, 'etc'), links: etcLinks })
  const etc = () => shownEtc.mounts()
  const limits = new LimitHolder(o)
  const seccomp = async () => {
    const isCounted = (await limits.detect()).memory !== 'rlimit'
    return seccompProgram(process.arch, isCounted ? [] : uncountedRules)
  }
  const sessions = join(trials, 'sessions')
  const detected = once(() => detectDisk({ sessions, path, clock }))
  const disk = async () => (await detected()).disk
  const shown = { claude, node, etc }
  const host = { path, uidBase, disableUserns, ...shown, limits, disk, seccomp, log, clock }
  const open = (spec: SandboxSpec) => openBubblewrap(spec, host)
  // Probes share one directory and one slot: one at a time.
  let last: Promise<unknown> = Promise.resolve()
  return {
    name: 'bubblewrap',
    open,
    async recover() {
      await putDisksAway({ sessions, path, clock })
      await shownEtc.recover()
    },
    slotOf: (directory) => leftSlot({ directory, uidBase, path, clock, log }),
    clearUp: () => limits.clearUp(),
    probe(signal) {
      const tried = {
        dataDir,
        trials,
        uidBase,
        path,
        open,
        bwrap,
        filters: seccompProgram(process.arch) !== null,
      }
      const bounds = { limits, disk: detected, requireLimits }
      const probe = last.then(() => probeBubblewrap({ ...tried, ...bounds, signal }))
      last = probe.catch(() => undefined) // The caller sees it; the next probe does not care.
      return probe
    },
  }
}

function noneDriver(o: { readonly log: Log; readonly clock: Clock }): SandboxDriver {
  const { what, consequence } = noWalls
  const warning = `${what} ${consequence}`
  const claude = once(async () => findClaude())
  return {
    name: 'none',
    recover: async () => undefined,
    slotOf: async () => null,
    clearUp: async () => undefined,
    async probe() {
      o.log.warn(warning)
      return withoutWalls
    },
    async open(spec) {
      o.log.warn({ sessionId: spec.sessionId }, warning)
      return openNone(spec, { claude: await claude(), log: o.log, clock: o.clock })
    },
  }
}

const noWalls: Gap = {
  what: 'SANDBOX=none: agents run WITHOUT any walls.',
  consequence: 'They have the rights of this server, its files, its secrets and its network.',
  fix: 'Unset SANDBOX; `longhaul doctor` says whether this host can hold the walls.',
}

const withoutWalls: SandboxReport = {
  ok: true,
  problem: null,
  driver: 'none',
  isolates: nothingHolds,
  limits: { memory: 'none', cpu: 'none', processes: 'none', disk: 'counted' },
  tools: [],
  gaps: [noWalls],
  not_run: [],
}

/** Both are made by the server; a wrong one would hand one session's uid or files to another. */
function checkSpec(spec: SandboxSpec, dataDir: string): void {
  if (!Number.isInteger(spec.slot) || spec.slot < 0 || spec.slot >= slotsMax)
    throw new Error(`a slot is a whole number from 0 to ${slotsMax - 1}, not ${spec.slot}`)
  const room = spec.slot === sharedSlot ? 'repositories' : 'sessions'
  if (join(dataDir, room, spec.sessionId) !== spec.directory)
    throw new Error(`the directory ${spec.directory} is not that of session ${spec.sessionId}`)
}

/** Runs `make` at the first call; a failure is not kept. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null
  return () => {
    made ??= make().catch((error: unknown) => {
      made = null
      throw error
    })
    return made
  }
}
