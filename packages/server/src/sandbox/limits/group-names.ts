import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import { identify } from '../process-table.ts'
import type { CgroupFiles } from './cgroup-files.ts'
import { removeGroup } from './group.ts'
import type { Hierarchy } from './hierarchies.ts'

/**
 * The name of a new group: which server made it, and for what. The number of a process and its
 * start tell a living server's groups from those of one that was killed; the last part tells two
 * sandboxes of one session apart.
 */
export function groupName(sessionId: string): string {
  const { startTime } = identify(process.pid) ?? { startTime: '0' }
  return `longhaul-${process.pid}-${startTime}-${sessionId}-${randomBytes(4).toString('hex')}`
}

/** Whether this is a group of a server that lives no more. */
function isOrphaned(name: string): boolean {
  const [, pid, startTime] = /^longhaul-(\d+)-(\d+)-/.exec(name) ?? []
  return pid !== undefined && identify(Number(pid))?.startTime !== startTime
}

/**
 * Removes what servers that were killed left beside this one's groups: groups without a living
 * process. Those that still have one are left: what runs in them is ended with its session.
 */
export async function removeOrphanedGroups(
  hierarchies: readonly Hierarchy[],
  o: { readonly files: CgroupFiles; readonly clock: Clock },
): Promise<number> {
  let removed = 0
  for (const { own } of hierarchies) {
    const names = await o.files.list(own).catch(() => []) // As if there were none; asked again.
    for (const name of names.filter(isOrphaned)) {
      const directory = join(own, name)
      const procs = await o.files.read(join(directory, 'cgroup.procs')).catch(() => null)
      if (procs?.trim() !== '') continue
      // Another server of this host may have been quicker, or is about to be.
      await removeGroup(directory, o).catch(() => undefined)
      removed += 1
    }
  }
  return removed
}
