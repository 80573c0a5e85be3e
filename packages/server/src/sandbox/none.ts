import { dirname } from 'node:path'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import {
  makeDirectories,
  makeOwnedDirectories,
  pathsOf,
  systemFile,
  writeSystemFiles,
} from './directories.ts'
import { CountedDisk } from './disk/counted-disk.ts'
import type { Sandbox, SandboxSpec, SpawnOptions } from './driver.ts'
import { environmentInside, ghSettings, systemPath } from './environment.ts'
import { openForwarder } from './forwarder.ts'
import { gitConfig } from './git-config.ts'
import { initScript } from './init-script.ts'
import { nothingKnown } from './limits/held-limits.ts'
import { noHits } from './limits/hits.ts'
import { OpenSandbox, type Walls } from './open-sandbox.ts'
import { killEvery, processesWith, signalProcess } from './process-table.ts'
import { type Running, spawnPiped, untilExit } from './running.ts'

/**
 * Opens a session without walls: plain processes of the server's own user, in process groups of
 * their own, with an environment from scratch. The network cannot be taken away; without `network`
 * only the proxy is not named. What left its group is found by a variable that every process of
 * the session was started with, where there is a /proc.
 */
export async function openNone(
  spec: SandboxSpec,
  host: { readonly claude: string; readonly log: Log; readonly clock: Clock },
): Promise<Sandbox> {
  const paths = pathsOf(spec.directory)
  const mark = `LONGHAUL_SANDBOX=${spec.directory}`
  const killStrays = async (): Promise<void> => {
    await killEvery({ find: () => processesWith(mark), clock: host.clock })
  }
  await killStrays()
  await makeDirectories(paths)
  const { diskBytes: bytesMax, tmpBytes: tmpBytesMax } = spec.limits
  const disk = new CountedDisk({ ...host, root: paths.root, bytesMax, tmpBytesMax })
  await makeOwnedDirectories({ paths, disk, uid: null })
  const forwarder = await openForwarder({ socketPath: paths.gatewaySocket })
  const gatewayUrl = `http://127.0.0.1:${forwarder.port}`
  const gitconfig = gitConfig({ ...spec, gatewayUrl, rewrites: spec.gitRewrite })
  const gh = { 'config.yml': ghSettings(paths) }
  await writeSystemFiles(paths, { gitconfig, init: initScript, ...gh })
  const fixed: Record<string, string> = {
    LONGHAUL_SANDBOX: spec.directory,
    GIT_CONFIG_SYSTEM: systemFile(paths, 'gitconfig'),
    // claude refuses to work unasked as root unless it is told that something protects the host.
    ...(process.getuid?.() === 0 ? { IS_SANDBOX: '1' } : {}),
  }
  const env = (o: SpawnOptions) =>
    environmentInside({
      paths,
      tmp: paths.tmp,
      path: systemPath,
      ghConfig: dirname(systemFile(paths, 'config.yml')),
      proxyUrl: o.network ? gatewayUrl : null,
      routes: spec.routes,
      extra: [
        spec.env,
        o.home === 'checks' ? { HOME: paths.checksHome } : {},
        ...[o.env ?? {}, fixed],
      ],
    })
  const init = ['/bin/sh', systemFile(paths, 'init'), '-']
  const walls: Walls = {
    gatewayUrl,
    claudePath: host.claude,
    nodePath: process.execPath,
    uid: null,
    limits: spec.limits,
    disk,
    usage: async () => ({ ...nothingKnown, diskBytes: disk.bytes() }),
    limitHits: () => ({ ...noHits, disk_full: disk.hits() }),
    start: (command, o) =>
      startPlain({ command: [...init, o.cwd ?? paths.workspace, ...command], env: env(o) }),
    killStrays,
    close: async () => forwarder[Symbol.asyncDispose](),
  }
  return new OpenSandbox({ paths, walls, clock: host.clock })
}

function startPlain(o: {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
}): Running {
  const child = spawnPiped({ ...o, cwd: '/', detached: true, pipes: 0 })
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined) signalProcess(-child.pid, signal)
  }
  const killChild = child.kill.bind(child)
  child.kill = (signal) => {
    if (child.exitCode === null && child.signalCode === null)
      signalGroup(typeof signal === 'string' ? signal : 'SIGTERM')
    return killChild(signal)
  }
  let spawnError: Error | null = null
  const ended = untilExit(child).then((error) => {
    spawnError = error
    // As in a sandbox: what a command left in the background ends with it.
    signalGroup('SIGKILL')
  })
  ended.catch(() => undefined) // Whoever waits sees it.
  return {
    process: child,
    ended,
    kill: () => void child.kill('SIGKILL'),
    failure: () => (spawnError === null ? null : new Error('cannot start', { cause: spawnError })),
  }
}
