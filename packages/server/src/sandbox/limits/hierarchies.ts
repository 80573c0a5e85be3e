import { join } from 'node:path'
import type { CgroupFiles } from './cgroup-files.ts'

/** What the kernel can count and bound by groups; version 1 counts processor time apart. */
export type Controller = 'memory' | 'pids' | 'cpu' | 'cpuacct'

const controllers: readonly string[] = ['memory', 'pids', 'cpu', 'cpuacct']

/** A tree of groups, and the server's own group in it, below which ours are made. */
export interface Hierarchy {
  readonly version: 1 | 2
  /** The directory of the server's own group. */
  readonly own: string
  readonly controllers: readonly Controller[]
}

/** The leaf that the server moves into, since a group of version 2 has processes or groups, not both. */
export const serverLeaf = 'longhaul-server'

/**
 * Finds the trees that this process is in. `proc` is its directory in /proc. Version 1 has a tree
 * for each controller or a few; version 2 has one for those that version 1 has not taken. A tree
 * whose mount does not show the server's own group is left out: what is above is not ours.
 */
export async function findHierarchies(proc: string, files: CgroupFiles): Promise<Hierarchy[]> {
  const [memberships, mountinfo] = await Promise.all(
    ['cgroup', 'mountinfo'].map((name) => files.read(join(proc, name)).catch(() => '')),
  )
  const mounts = (mountinfo ?? '').split('\n').flatMap(parseMount)
  const found = await Promise.all(
    (memberships ?? '').split('\n').map((line) => hierarchyOf(line, { mounts, files })),
  )
  return found.filter((hierarchy) => hierarchy !== null)
}

/** A line of /proc/self/cgroup, `4:memory:/path`, or `0::/path` of version 2. */
async function hierarchyOf(
  line: string,
  o: { readonly mounts: readonly MountedTree[]; readonly files: CgroupFiles },
): Promise<Hierarchy | null> {
  const [, named, path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
  if (named === undefined) return null
  const version = named === '' ? 2 : 1
  const mount = o.mounts.find(({ type, options }) =>
    version === 2
      ? type === 'cgroup2'
      : type === 'cgroup' && named.split(',').every((name) => options.includes(name)),
  )
  const own = mount === undefined ? null : ownDirectory(mount, path)
  if (own === null) return null
  const names = version === 1 ? named.split(',') : await controllersOf(own, o.files)
  const controllers = names.filter(isController)
  return controllers.length === 0 ? null : { version, own, controllers }
}

interface MountedTree {
  readonly root: string
  readonly at: string
  readonly type: string
  readonly options: readonly string[]
}

/** `36 35 98:0 /root /at rw,… - cgroup cgroup rw,memory`, with any number of fields before the dash. */
function parseMount(line: string): MountedTree[] {
  const [before = '', after = ''] = line.split(' - ')
  const [, , , root, at] = before.split(' ')
  const [type = '', , options = ''] = after.split(' ')
  if (root === undefined || at === undefined || !type.startsWith('cgroup')) return []
  return [{ root: plain(root), at: plain(at), type, options: options.split(',') }]
}

/** The mount shows the tree from `root` on: in a container without a namespace that is its own group. */
function ownDirectory({ root, at }: MountedTree, path: string): string | null {
  if (path.split('/').includes('..')) return null
  if (root === '/') return join(at, withoutLeaf(path))
  if (path !== root && !path.startsWith(`${root}/`)) return null
  return join(at, withoutLeaf(path.slice(root.length)))
}

/** A server that is in its leaf already has its groups beside it. */
function withoutLeaf(path: string): string {
  return path.endsWith(`/${serverLeaf}`) ? path.slice(0, -serverLeaf.length - 1) : path
}

async function controllersOf(own: string, files: CgroupFiles): Promise<string[]> {
  const text = await files.read(join(own, 'cgroup.controllers')).catch(() => '')
  return text.trim().split(' ')
}

function isController(name: string): name is Controller {
  return controllers.includes(name)
}

/** The kernel writes blanks, tabs, newlines and backslashes of a path in octal. */
function plain(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}
