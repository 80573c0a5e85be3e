import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

/** Why no sandbox was built, and what it means on this host: the sentence with the fix. */
export async function refusalSentence(error: unknown, dataDir: string): Promise<string> {
  const words = error instanceof Error ? error.message : String(error)
  // Only what bwrap and its launchers say is about namespaces: the same errno of a file is not.
  const fix = isOfFile(error) ? await fileFix(error, dataDir) : await fixFor(words)
  const said = words.replace(/\.$/, '')
  return [`The sandbox cannot be built: ${said}.`, fix].filter(Boolean).join(' ')
}

/** Whether a call of this server on a file failed, and not the start of a program. */
function isOfFile(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('syscall' in error)) return false
  return !String(error.syscall).startsWith('spawn')
}

async function fileFix(error: NodeJS.ErrnoException, dataDir: string): Promise<string | null> {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return spaceFix(dataDir)
  if (error.code === 'EROFS') return `Mount the file system of DATA_DIR, ${dataDir}, for writing.`
  if (error.code !== 'EPERM' && error.code !== 'EACCES') return null
  return `Let the server’s user own DATA_DIR, ${dataDir}, and all that is in it, on a file system that keeps owners.`
}

/** What to do about a data directory that nothing more fits in. */
export async function spaceFix(dataDir: string): Promise<string> {
  const { files, ffree } = await statfs(dataDir)
  const [what, command] =
    files > 0 && ffree === 0
      ? ['has no inode left', `df -i ${dataDir} shows how many it has`]
      : ['is full', `df -h ${dataDir} shows how large it is, or its quota is reached`]
  return `The file system of DATA_DIR, ${dataDir}, ${what} (${command}): remove files from it, make it larger, or set DATA_DIR to another one.`
}

/**
 * The programs that no sandbox starts without and that are nowhere on the path, in one sentence with
 * what to install; null: all are there. Whether they work is for the sandbox itself to show.
 */
export async function missingPrograms(o: {
  /** Search path of the server. */
  readonly path: string
  /** Search path inside. */
  readonly inside: string
}): Promise<string | null> {
  const wanted: readonly (readonly [program: string, from: string, path: string])[] = [
    ['bwrap', 'bubblewrap', o.path],
    ['prlimit', 'util-linux', o.path],
    ['setpriv', 'util-linux', o.path],
    ['socat', 'socat', o.inside],
    ['git', 'git', o.inside],
  ]
  const missing: string[] = []
  const packages = new Set<string>()
  for (const [program, from, path] of wanted) {
    if (await isOn(path, program)) continue
    missing.push(program)
    packages.add(from)
  }
  if (missing.length === 0) return null
  return (
    `Programs that a sandbox is made of are missing: ${missing.join(', ')}. Install them; on Debian ` +
    `and Ubuntu: apt-get install ${[...packages].join(' ')}.`
  )
}

async function isOn(path: string, program: string): Promise<boolean> {
  for (const directory of path.split(':')) {
    const file = join(directory, program)
    const isThere = await access(file, constants.X_OK).then(
      async () => (await stat(file)).isFile(),
      () => false, // Not in this one.
    )
    if (isThere) return true
  }
  return false
}

/** bwrap's own words, and what mends it where they do not depend on the host. */
const fixes: readonly (readonly [pattern: RegExp, fix: string])[] = [
  [
    /unknown option/i,
    'This bubblewrap is too old: install 0.7 or newer, best 0.8, which also forbids user namespaces inside.',
  ],
  [
    /ENOENT|No such file or directory|is socat installed/,
    'Install what is missing; on Debian and Ubuntu: apt-get install bubblewrap socat util-linux git.',
  ],
  [
    /mount proc|mounting proc|\/newroot\/proc/i,
    'In Docker, run the container with --security-opt systempaths=unconfined.',
  ],
]

const limitFix =
  'Raise the limit: sysctl -w user.max_user_namespaces=15000, and keep it in /etc/sysctl.d.'
const refusedPattern =
  /namespace|uid map|gid map|RTM_NEWADDR|Operation not permitted|Permission denied/i

/** Most hosts that refuse user namespaces have a setting that says so. */
async function fixFor(words: string): Promise<string | null> {
  const known = fixes.find(([pattern]) => pattern.test(words))?.[1]
  if (known !== undefined) return known
  if (/ENOSPC|No space left|max_\*_namespaces/.test(words)) return limitFix
  if (!refusedPattern.test(words)) return null
  if ((await setting('user/max_user_namespaces')) === '0') return limitFix
  if ((await setting('kernel/unprivileged_userns_clone')) === '0')
    return 'This host refuses user namespaces to users: sysctl -w kernel.unprivileged_userns_clone=1, and keep it in /etc/sysctl.d.'
  if ((await setting('kernel/apparmor_restrict_unprivileged_userns')) === '1')
    return 'AppArmor of this host (Ubuntu 23.10 and newer) refuses user namespaces to programs without a profile: give bwrap one, as docs/doctor.md shows, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 and keep it in /etc/sysctl.d.'
  return 'This host refuses user namespaces, by a filter of system calls or a security module: in Docker, run the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined; in a unit of systemd, set RestrictNamespaces=no.'
}

function setting(name: string): Promise<string | null> {
  return readFile(join('/proc/sys', name), 'utf8').then(
    (text) => text.trim(),
    () => null, // A kernel without this setting.
  )
}
