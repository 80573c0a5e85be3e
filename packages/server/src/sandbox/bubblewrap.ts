import { dirname, join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { bubblewrapArguments, launchCommand } from './arguments.ts'
import { startLaunch } from './bubblewrap-process.ts'
import {
  emptyDirectory,
  makeDirectories,
  makeOwnedDirectories,
  pathsOf,
  shownDirectories,
  systemDirectory,
  writeSystemFiles,
} from './directories.ts'
import { type Disk, type DiskKind, openDisk } from './disk/disk.ts'
import type { Sandbox, SandboxLimits, SandboxPaths, SandboxSpec, SpawnOptions } from './driver.ts'
import { environmentInside, ghSettings, systemPath } from './environment.ts'
import { gitConfig } from './git-config.ts'
import { initScript, scriptWith } from './init-script.ts'
import { Launches } from './launches.ts'
import type { LimitHolder } from './limits/held-limits.ts'
import { shellStartScript } from './limits/oom-score.ts'
import { bridgePort, sharedSlot } from './limits.ts'
import { OpenSandbox, type Walls } from './open-sandbox.ts'
import { procMounts } from './proc-mounts.ts'
import { killEvery, sandboxedProcesses } from './process-table.ts'
import { etcFiles, type Mount, ownDirectory, systemMounts } from './system-files.ts'

/** What the driver knows of its host. */
interface BubblewrapHost {
  /** The uid of slot 0 below a root server. */
  readonly uidBase: number
  /** Search path for bwrap, setpriv and prlimit. */
  readonly path: string
  /** Whether this bwrap can forbid user namespaces inside. */
  readonly disableUserns: () => Promise<boolean>
  /** The host's claude binary, shown inside at /opt/claude. */
  readonly claude: () => Promise<string>
  /** The node that runs this server, shown inside at /opt/node. */
  readonly node: () => Promise<string>
  /** What is shown inside at /etc. */
  readonly etc: () => Promise<Mount[]>
  readonly limits: LimitHolder
  /** What no process inside may ask the kernel; null: this architecture's calls are not known. */
  readonly seccomp: () => Promise<Buffer | null>
  /** How it holds sessions within their bytes of disk. */
  readonly disk: () => Promise<DiskKind>
  readonly log: Log
  readonly clock: Clock
}

const gatewayUrl = `http://127.0.0.1:${bridgePort}`
const programs = '/opt'
const claudePath = `${programs}/claude`
const nodePath = `${programs}/node`
const initPath = `${ownDirectory}/init`
/** Beside the directory, which is not written: it is of the command, in the memory of its root. */
const commandPath = '/run/command'

/**
 * Opens a session's sandbox: every start is a bubblewrap of its own, with namespaces of its own,
 * over the same directories. See `SandboxDriver.open`.
 */
export async function openBubblewrap(spec: SandboxSpec, host: BubblewrapHost): Promise<Sandbox> {
  const paths = pathsOf(spec.directory)
  const uid = process.getuid?.() === 0 ? host.uidBase + spec.slot : null
  await endLeftovers({ uid, spec, paths, host })
  await makeDirectories(paths)
  const disk = await openDiskOf(spec, host)
  try {
    return await openOn(disk, { spec, paths, uid, host })
  } catch (error) {
    await disk.close()
    throw error
  }
}

async function openOn(
  disk: Disk,
  o: {
    readonly spec: SandboxSpec
    readonly paths: SandboxPaths
    readonly uid: number | null
    readonly host: BubblewrapHost
  },
): Promise<Sandbox> {
  const { spec, paths, uid, host } = o
  await makeOwnedDirectories({ paths, disk, uid })
  await writeSystemFiles(paths, {
    ...etcFiles({ home: paths.home }),
    gitconfig: gitConfig({ ...spec, gatewayUrl, rewrites: spec.gitRewrite }),
    init: initScript,
    'shell-start': shellStartScript,
    'config.yml': ghSettings(paths),
  })
  const mounts = [
    ...(await procMounts({ empty: emptyDirectory(paths) })),
    ...(await systemMounts()),
    ...(await host.etc()),
    readOnly(systemDirectory(paths), ownDirectory),
    ...(await programMounts(host)),
    ...ownMounts({ paths, disk, limits: spec.limits }),
    ...(spec.shown ?? []).map((path) => readOnly(path, path)),
  ]
  const disableUserns = await host.disableUserns()
  const seccomp = await host.seccomp()
  const held = await host.limits.hold({
    ...{ sessionId: spec.sessionId, limits: spec.limits, mounted: paths.config },
    ...{ uid: uid ?? process.getuid?.() ?? 0, ownUid: uid !== null },
  })
  const launch = {
    command: launchCommand({ uid, rlimits: held.rlimits, command: ['/bin/sh', commandPath] }),
    enter: (pid: number) => held.enter(pid),
    ...{ path: host.path, clock: host.clock },
  }
  const launches = new Launches({ start: () => startLaunch(launch), clock: host.clock })
  const walls: Walls = {
    gatewayUrl,
    claudePath,
    nodePath,
    uid,
    disk,
    limits: spec.limits,
    usage: async () => ({ ...(await held.usage()), diskBytes: disk.bytes() }),
    limitHits: () => ({ ...held.hits(), disk_full: disk.hits() }),
    start: (command, o) => {
      const told = {
        bwrapArguments: bubblewrapArguments({
          mounts: [
            ...mounts,
            ...homeMounts({ paths, disk, shown: o.home }),
            ...(o.show ?? []).map((path) => readOnly(path, path)),
            ...(o.network ? [socketMount(paths)] : []),
          ],
          env: environmentOf({ paths, spec, options: o }),
          disableUserns,
          seccomp: seccomp !== null,
          script: commandPath,
        }),
        script: scriptWith(initWords({ command, paths, options: o }), initPath),
        seccomp,
      }
      return launches.run(told)
    },
    // A pid namespace has no strays.
    killStrays: () => launches.discard(),
    async close() {
      await launches.close()
      await held.release()
    },
  }
  return new OpenSandbox({ paths, walls, clock: host.clock })
}

/**
 * A root server has linked both into a directory of its own, which has nothing else: one bind of it
 * takes half the time of two. Elsewhere they are where they were installed.
 */
async function programMounts(host: BubblewrapHost): Promise<Mount[]> {
  const [claude, node] = await Promise.all([host.claude(), host.node()])
  if (process.getuid?.() === 0) return [readOnly(dirname(claude), programs)]
  return [readOnly(claude, claudePath), readOnly(node, nodePath)]
}

/**
 * What a server that was killed may have left: die-with-parent ends it, save for rare races. A
 * slot's uid is this session's alone, whatever ran there before; the server's own uid, and that of
 * the shared slot, are told apart by a directory that nobody else is ever shown.
 */
async function endLeftovers(o: {
  readonly uid: number | null
  readonly spec: SandboxSpec
  readonly paths: SandboxPaths
  readonly host: BubblewrapHost
}): Promise<void> {
  const { spec, paths, host } = o
  const uid = o.uid ?? process.getuid?.() ?? 0
  const isAlone = o.uid !== null && spec.slot !== sharedSlot
  const mounted = isAlone ? join(dirname(spec.directory), '/') : paths.config
  const find = () => sandboxedProcesses({ uid, mounted })
  const killed = await killEvery({ find, clock: host.clock })
  if (killed > 0) host.log.warn({ sessionId: spec.sessionId, uid, killed }, 'leftovers killed')
}

/**
 * /tmp is the session's own directory on disk, not memory: it is there for the checks that come
 * after the agent, it outlives a crash as the conversation does, and takes nothing of the session's
 * memory. Its bound is that of the disk it is on. Only where the session itself lies below /tmp is it
 * memory, of the same size: mounting into a directory that the agent can write would follow the
 * agent's links.
 */
function ownMounts(o: {
  readonly paths: SandboxPaths
  readonly disk: Disk
  readonly limits: SandboxLimits
}): Mount[] {
  const { paths, disk, limits } = o
  const own = shownDirectories(paths).map((path) => readWrite(disk.onHost(path), path))
  const tmp: Mount = isBelowTmp(paths)
    ? { kind: 'memory', bytesMax: limits.tmpBytes, to: '/tmp' }
    : readWrite(disk.onHost(paths.tmp), '/tmp')
  return [tmp, ...own]
}

function homeMounts(o: {
  readonly paths: SandboxPaths
  readonly disk: Disk
  readonly shown: SpawnOptions['home']
}): Mount[] {
  const { home, keptHome, checksHome } = o.paths
  if (o.shown === 'checks') return [readWrite(o.disk.onHost(checksHome), home)]
  if (o.shown !== 'all') return []
  return [keptHome, checksHome].map((path) => readWrite(o.disk.onHost(path), path))
}

/** What sessions share is read at its own path on the host, and has a bound of its own. */
async function openDiskOf(spec: SandboxSpec, host: BubblewrapHost): Promise<Disk> {
  const kind = spec.slot === sharedSlot ? 'watch' : await host.disk()
  const { path, clock, log } = host
  const { diskBytes: bytesMax, tmpBytes: tmpBytesMax } = spec.limits
  return openDisk({ root: spec.directory, kind, bytesMax, tmpBytesMax, path, clock, log })
}

/** The directory, not the socket: a gateway that was opened anew has a new socket in it. */
function socketMount(paths: SandboxPaths): Mount {
  const sock = dirname(paths.gatewaySocket)
  return readOnly(sock, sock)
}

function environmentOf(o: {
  readonly paths: SandboxPaths
  readonly spec: SandboxSpec
  readonly options: SpawnOptions
}): Record<string, string> {
  return environmentInside({
    paths: o.paths,
    // The short one where it can be: programs put sockets there.
    tmp: isBelowTmp(o.paths) ? o.paths.tmp : '/tmp',
    path: systemPath,
    ghConfig: ownDirectory,
    proxyUrl: o.options.network ? gatewayUrl : null,
    routes: o.spec.routes,
    extra: [o.spec.env, o.options.env ?? {}],
  })
}

function initWords(o: {
  readonly command: readonly string[]
  readonly paths: SandboxPaths
  readonly options: SpawnOptions
}): string[] {
  const sockets = o.options.network ? dirname(o.paths.gatewaySocket) : '-'
  return [sockets, o.options.cwd ?? o.paths.workspace, ...o.command]
}

function isBelowTmp(paths: SandboxPaths): boolean {
  return join(paths.root, '/').startsWith('/tmp/')
}

function readWrite(from: string, to: string): Mount {
  return { kind: 'read_write', from, to }
}

function readOnly(from: string, to: string): Mount {
  return { kind: 'read_only', from, to }
}
