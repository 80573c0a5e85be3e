import { chmod, chown, lstat, mkdir, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, parse } from 'node:path'
import type { SandboxPaths } from './driver.ts'
import { socketPathBytesMax } from './limits.ts'

/** Where everything of a session's directory is. */
export function pathsOf(root: string): SandboxPaths {
  return {
    root,
    workspace: join(root, 'workspace'),
    home: join(root, 'home'),
    keptHome: join(root, 'kept-home'),
    checksHome: join(root, 'checks-home'),
    config: join(root, 'config'),
    tmp: join(root, 'tmp'),
    gatewaySocket: join(root, 'sock', 'gateway'),
  }
}

/** The directories that belong to what runs inside. */
export function ownedDirectories(paths: SandboxPaths): string[] {
  return [...shownDirectories(paths), paths.keptHome, paths.checksHome]
}

/** Those that the agent sees. */
export function shownDirectories(paths: SandboxPaths): string[] {
  return [paths.workspace, paths.home, paths.config, paths.tmp]
}

/** Files of ours that a sandbox is shown, kept beside its own directories. */
export function systemFile(paths: SandboxPaths, name: string): string {
  return join(systemDirectory(paths), name)
}

export function systemDirectory(paths: SandboxPaths): string {
  return join(paths.root, 'etc')
}

/**
 * Makes the directories of a session that are the server's, or finds them: the root, `sock/` and
 * `etc/`, so that nothing inside can exchange a directory for a link.
 */
export async function makeDirectories(paths: SandboxPaths): Promise<void> {
  if (Buffer.byteLength(paths.gatewaySocket) > socketPathBytesMax)
    throw new Error(socketPathProblem(paths.gatewaySocket))
  const sock = dirname(paths.gatewaySocket)
  for (const directory of [dirname(paths.root), paths.root, sock, systemDirectory(paths)])
    await makeTraversable(directory)
}

/**
 * Makes those that belong to `uid` (null: to the server), or finds them as they must be. Throws
 * when one belongs to another uid: its files would too.
 */
export async function makeOwnedDirectories(o: {
  readonly paths: SandboxPaths
  /** Where they are on the host. */
  readonly disk: { onHost(path: string): string }
  readonly uid: number | null
}): Promise<void> {
  for (const path of ownedDirectories(o.paths)) await makeOwned(o.disk.onHost(path), o.uid)
}

/** A directory among them with nothing in it, to cover others with. */
export function emptyDirectory(paths: SandboxPaths): string {
  return systemFile(paths, 'empty')
}

/** Writes the files of ours that a sandbox is shown; no sandbox of the session may run yet. */
export async function writeSystemFiles(
  paths: SandboxPaths,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  await mkdir(emptyDirectory(paths), { recursive: true })
  await chmod(emptyDirectory(paths), 0o755) // Whatever the server's umask is.
  for (const [name, text] of Object.entries(files)) {
    await writeFile(systemFile(paths, name), text)
    await chmod(systemFile(paths, name), 0o644)
  }
}

/** `makeTraversable` of one in the data directory. Rejects with a sentence that names the setting. */
export async function makeInDataDirectory(dataDir: string, name: string): Promise<void> {
  await makeTraversable(join(dataDir, name)).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`DATA_DIR ${dataDir} cannot be used: ${why}.`, { cause: error })
  })
}

/** Makes a directory that every uid may pass through and nobody else may list. */
export async function makeTraversable(directory: string): Promise<void> {
  // Level by level: a recursive mkdir of Node's never ends where the system refuses one (/proc).
  const made = await mkdir(directory, { mode: 0o711 }).then(
    () => true,
    async (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false
      if (error.code !== 'ENOENT' || (await exists(dirname(directory)))) throw error
      await makeTraversable(dirname(directory))
      await mkdir(directory, { mode: 0o711 })
      return true
    },
  )
  if (made) await chmod(directory, 0o711)
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Removes those that what runs inside owns; fails when they are not empty. */
export async function removeOwnedDirectories(paths: SandboxPaths): Promise<void> {
  for (const directory of ownedDirectories(paths)) await rmdir(directory)
}

/** Removes what is left then. */
export async function removeDirectories(paths: SandboxPaths): Promise<void> {
  await rm(dirname(paths.gatewaySocket), { recursive: true, force: true })
  await rm(systemDirectory(paths), { recursive: true, force: true })
  await rmdir(paths.root)
}

export function socketPathProblem(path: string): string {
  return (
    `The socket path ${path} has ${Buffer.byteLength(path)} bytes, and the system allows ` +
    `${socketPathBytesMax}: set DATA_DIR to a shorter path.`
  )
}

/** A sentence naming the first directory from / on that another uid cannot pass; or null. */
export async function traversalProblem(directory: string): Promise<string | null> {
  for (let path = directory; ; path = dirname(path)) {
    const { mode } = await stat(path)
    if ((mode & 0o001) === 0)
      return (
        `The directory ${path} cannot be passed by the unprivileged user that agents run as: ` +
        `run \`chmod o+x ${path}\`, or set DATA_DIR to a place that can be.`
      )
    if (path === parse(path).root) return null
  }
}

async function makeOwned(directory: string, uid: number | null): Promise<void> {
  const made = await mkdir(directory, { recursive: true, mode: 0o700 })
  if (made !== undefined && uid !== null) await chown(directory, uid, uid)
  const entry = await lstat(directory)
  const owner = uid ?? process.getuid?.()
  // Made by a server that died before its chown: still empty, so taking it over is safe.
  if (uid !== null && entry.isDirectory() && entry.uid === 0) return chown(directory, uid, uid)
  if (!entry.isDirectory() || (owner !== undefined && entry.uid !== owner))
    throw new Error(`${directory} is not a directory of uid ${owner}: its session had another slot`)
}
