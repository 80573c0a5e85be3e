import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, lchown, lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Binaries, binariesIn } from './embedded-binaries.ts'

/**
 * Who PostgreSQL's programs run as. PostgreSQL refuses to run as root, so a root server runs them
 * in a user namespace of their own, in which root is `nobody` (files stay root's, and nothing needs
 * to be traversable). Where namespaces are refused they run as the real user `nobody`.
 */
export type Identity = 'ourselves' | 'user_namespace' | 'nobody'

/** Has an entry in passwd on every Linux; initdb refuses a uid without one. */
const nobodyId = 65_534
/** Of a program's output, what is kept for the error message. */
const outputCharsMax = 4096
/** initdb writes and syncs some 40 MB; a slow disk may take a while. */
const programMsMax = 120_000

/** Chooses for `pgdata`, which may not exist yet. Throws one sentence where nothing works. */
export async function chooseIdentity(pgdata: string): Promise<Identity> {
  if (process.getuid?.() !== 0) return 'ourselves'
  if (process.platform !== 'linux')
    throw new Error(
      'The embedded PostgreSQL cannot run as root on this platform: start Longhaul as another user, or set DATABASE_URL.',
    )
  const owner = existsSync(pgdata) ? (await stat(pgdata)).uid : 0
  if (owner === nobodyId) return 'nobody'
  const probe = await runProgram('user_namespace', '/bin/true', []).catch(() => null)
  return probe?.exitCode === 0 ? 'user_namespace' : 'nobody'
}

/** Makes what `nobody` must own or reach so; nothing to do for the other identities. */
export async function prepareIdentity(
  identity: Identity,
  o: { readonly binaries: Binaries; readonly dataDir: string; readonly pgdata: string },
): Promise<Binaries> {
  if (identity !== 'nobody') return o.binaries
  if (existsSync(o.pgdata) && (await stat(o.pgdata)).uid !== nobodyId) await giveAway(o.pgdata)
  if (await canRun(o.binaries)) return o.binaries
  // A checkout below a home directory that only root may enter: run from a copy.
  const copy = binariesIn(join(o.dataDir, 'postgres18-programs'))
  await cp(o.binaries.directory, copy.directory, { recursive: true, verbatimSymlinks: true })
  if (await canRun(copy)) return copy
  throw new Error(
    `The embedded PostgreSQL has to run as nobody here, who cannot reach ${o.dataDir}: make that directory and its parents traversable (chmod o+x), start Longhaul as another user, or set DATABASE_URL.`,
  )
}

/** Hands a file or a whole directory to the identity that has to own it. */
export async function own(identity: Identity, path: string): Promise<void> {
  if (identity === 'nobody') await lchown(path, nobodyId, nobodyId)
}

export interface ProgramEnd {
  readonly exitCode: number | null
  /** Both output streams, the last 4 KiB. */
  readonly output: string
}

/** Runs one program to its end, at most 120 s. Rejects only when it cannot be started. */
export function runProgram(
  identity: Identity,
  file: string,
  args: readonly string[],
): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    const child = spawnAs(identity, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const limit = setTimeout(() => child.kill('SIGKILL'), programMsMax)
    let output = ''
    const keep = (chunk: Buffer): void => {
      output = `${output}${chunk.toString()}`.slice(-outputCharsMax)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    child.on('error', (error) => {
      clearTimeout(limit)
      reject(error)
    })
    child.on('close', (exitCode) => {
      clearTimeout(limit)
      resolve({ exitCode, output })
    })
  })
}

/** Starts a program that outlives us; its output goes to the open file `logFd`. */
export function startProgram(
  identity: Identity,
  command: readonly string[],
  logFd: number,
): ChildProcess {
  const child = spawnAs(identity, command, { stdio: ['ignore', logFd, logFd] })
  child.unref()
  return child
}

function spawnAs(
  identity: Identity,
  command: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const prefix =
    identity === 'user_namespace'
      ? ['unshare', '--user', `--map-user=${nobodyId}`, `--map-group=${nobodyId}`]
      : []
  const [file = '', ...args] = [...prefix, ...command]
  return spawn(file, args, {
    ...options,
    ...(identity === 'nobody' ? { uid: nobodyId, gid: nobodyId } : {}),
    // A session of its own: Ctrl-C in the server's terminal must not reach PostgreSQL.
    detached: true,
    cwd: '/',
    // Nothing of our environment: it holds secrets, and PG* variables would change what starts.
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C' },
  })
}

async function canRun(binaries: Binaries): Promise<boolean> {
  const end = await runProgram('nobody', binaries.postgres, ['--version']).catch(() => null)
  return end?.exitCode === 0
}

async function giveAway(path: string): Promise<void> {
  if ((await lstat(path)).isDirectory())
    for (const name of await readdir(path)) await giveAway(join(path, name))
  await own('nobody', path)
}
