import { memoryFilesBytesMax } from './limits.ts'
import { insideUid, type Mount } from './system-files.ts'

/** The descriptors of a launch: 0 to 2 are the command's, bwrap reads and writes these four. */
export const argumentsDescriptor = 3
export const statusDescriptor = 4
export const seccompDescriptor = 5
export const scriptDescriptor = 6

/**
 * The options of bwrap, handed over through a descriptor: what stands in a command line can be
 * read in /proc by everything inside, and has to be known when bwrap is started. The variables go the same way; bwrap sets them in its own
 * memory, so pid 1's environment inside shows only the PATH that bwrap was started with.
 *
 * Order matters: a mount hides what was mounted below it before. The root and /dev are sealed
 * last; they are memory, and writable they would be a way around every bound on disk.
 */
export function bubblewrapArguments(o: {
  readonly mounts: readonly Mount[]
  readonly env: Readonly<Record<string, string>>
  readonly disableUserns: boolean
  /** Whether a program comes through `seccompDescriptor`. */
  readonly seccomp: boolean
  /** Where inside the text is that comes through `scriptDescriptor`; nothing there can write it. */
  readonly script: string
}): string[] {
  return [
    ...['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts'],
    ...['--unshare-cgroup', '--unshare-net'],
    ...(o.disableUserns ? ['--disable-userns'] : []),
    ...['--uid', String(insideUid), '--gid', String(insideUid), '--hostname', 'sandbox'],
    ...['--new-session', '--die-with-parent'],
    ...['--json-status-fd', String(statusDescriptor)],
    ...(o.seccomp ? ['--seccomp', String(seccompDescriptor)] : []),
    '--clearenv',
    ...Object.entries(o.env).flatMap(([name, value]) => ['--setenv', name, value]),
    // The sysctls check the owner's uid, not capabilities: read-only whatever the uid is.
    ...['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys'],
    ...['--dev', '/dev'],
    ...mountArguments({ kind: 'memory', bytesMax: memoryFilesBytesMax, to: '/dev/shm' }),
    ...['--remount-ro', '/dev'],
    ...o.mounts.flatMap(mountArguments),
    ...['--perms', '0444', '--file', String(scriptDescriptor), o.script],
    ...['--remount-ro', '/'],
  ]
}

/**
 * The command line on the host: limits, then the slot's uid without any privilege, then bwrap.
 * A server that is not root keeps its uid.
 */
export function launchCommand(o: {
  readonly uid: number | null
  /** Options of prlimit. */
  readonly rlimits: readonly string[]
  readonly command: readonly string[]
}): string[] {
  const bwrap = ['bwrap', '--args', String(argumentsDescriptor), '--', ...o.command]
  if (o.uid === null) return ['prlimit', ...o.rlimits, ...bwrap]
  return [
    ...['prlimit', ...o.rlimits],
    ...['setpriv', '--reuid', String(o.uid), '--regid', String(o.uid), '--clear-groups'],
    ...['--no-new-privs', '--inh-caps=-all', '--bounding-set=-all'],
    ...bwrap,
  ]
}

function mountArguments(mount: Mount): string[] {
  switch (mount.kind) {
    case 'read_only':
      return ['--ro-bind', mount.from, mount.to]
    case 'read_write':
      return ['--bind', mount.from, mount.to]
    case 'symlink':
      return ['--symlink', mount.target, mount.to]
    case 'memory':
      return ['--perms', '1777', '--size', String(mount.bytesMax), '--tmpfs', mount.to]
  }
}
