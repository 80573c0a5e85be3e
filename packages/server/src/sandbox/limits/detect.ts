import { join } from 'node:path'
import type { Gap } from '@longhaul/client/contract'
import type { Clock } from '../../clock.ts'
import { defaultLimits } from '../limits.ts'
import { type CgroupFiles, codeOf } from './cgroup-files.ts'
import { delegate } from './cgroup2.ts'
import { SessionGroup } from './group.ts'
import { groupName } from './group-names.ts'
import { type Controller, findHierarchies, type Hierarchy } from './hierarchies.ts'

/** What holds the limits of sandboxes on this host. */
export interface DetectedLimits {
  readonly memory: 'cgroup2' | 'cgroup1' | 'rlimit'
  readonly cpu: 'cgroup2' | 'cgroup1' | 'none'
  readonly processes: 'cgroup2' | 'cgroup1' | 'rlimit'
  readonly gaps: readonly Gap[]
  /** The trees in which sessions get groups; empty where there are none. */
  readonly hierarchies: readonly Hierarchy[]
}

/**
 * Finds out what can hold limits, by making a group with every limit and removing it. Never
 * rejects: a host without control groups has rlimits, and the gaps say what that means.
 */
export async function detectLimits(o: {
  /** The server's own directory in /proc. */
  readonly proc: string
  readonly files: CgroupFiles
  readonly clock: Clock
}): Promise<DetectedLimits> {
  const hierarchies: Hierarchy[] = []
  const refusals = new Map<Controller, unknown>()
  for (const found of await findHierarchies(o.proc, o.files)) {
    try {
      hierarchies.push(await usable(found, o))
    } catch (error) {
      for (const name of found.controllers) refusals.set(name, error)
    }
  }
  const held = (name: Controller): 'cgroup1' | 'cgroup2' | null => {
    const at = hierarchies.find(({ controllers }) => controllers.includes(name))
    return at === undefined ? null : at.version === 1 ? 'cgroup1' : 'cgroup2'
  }
  const gap = (name: Controller, missing: string, consequence: string): Gap[] =>
    held(name) === null
      ? [{ what: `${missing} ${whyNot(refusals.get(name))}`, consequence, fix }]
      : []
  return {
    memory: held('memory') ?? 'rlimit',
    cpu: held('cpu') ?? 'none',
    processes: held('pids') ?? 'rlimit',
    gaps: [
      ...gap(
        'memory',
        'Memory is not held by a control group',
        'A watchdog adds up what a session’s processes take, several times a second, and kills them beyond the limit: a burst can exceed it for a moment, and memory that processes share without using it, messages and files in /dev/shm (64 MiB a command) are not seen. memfd_create and shmget are refused inside: PostgreSQL does not start there.',
      ),
      ...gap(
        'pids',
        'Processes are not counted by a control group',
        process.getuid?.() === 0
          ? 'They are bounded by the session’s uid, which is exact, but a session that hits the bound is noticed only while it is at it.'
          : 'A watchdog counts them several times a second: a fork bomb can exceed the limit for a moment.',
      ),
      ...gap(
        'cpu',
        'Processor time is not held by a control group',
        'A session can use every processor of this host.',
      ),
    ],
    hierarchies,
  }
}

/** The tree with the controllers that work in it; rejects with the kernel's refusal if none does. */
async function usable(
  found: Hierarchy,
  { files, clock }: { readonly files: CgroupFiles; readonly clock: Clock },
): Promise<Hierarchy> {
  const controllers = found.version === 2 ? await delegate(found, files) : [...found.controllers]
  const hierarchy = { ...found, controllers }
  const trial = await SessionGroup.make({
    name: groupName('trial'),
    hierarchies: [hierarchy],
    limits: defaultLimits,
    files,
    clock,
  })
  trial.hits()
  await trial.remove()
  return hierarchy
}

function whyNot(refusal: unknown): string {
  switch (refusal === undefined ? null : codeOf(causeOf(refusal))) {
    case null:
      return 'here: this kernel, or the container, shows none.'
    case 'EROFS':
      return 'here: the control groups are mounted read-only, as Docker does.'
    case 'EACCES':
    case 'EPERM':
      return 'here: the server may not make groups below its own.'
    default:
      return `here: ${refusal instanceof Error ? refusal.message : String(refusal)}.`
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error
}

const fix =
  'With systemd, set Delegate=yes in the unit; in Docker, run the container with --cgroupns=private and a writable /sys/fs/cgroup; or run the server as root.'

/** Where a process finds what the kernel says of it. */
export const ownProc = join('/proc', 'self')
