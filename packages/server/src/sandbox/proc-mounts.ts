import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Mount } from './system-files.ts'

/** What programs ask of the machine: processors, memory, load, the kernel's version. */
const shown: ReadonlySet<string> = new Set([
  ...['cgroups', 'cpuinfo', 'devices', 'filesystems', 'loadavg', 'meminfo', 'stat', 'swaps'],
  ...['uptime', 'version', 'vmstat', 'zoneinfo', 'buddyinfo', 'softirqs', 'tty'],
  // The kernel shows what belongs to the reader's namespaces; /proc/sys is read-only anyhow.
  ...['sys', 'sysvipc', 'locks'],
  // Lists of what every kernel of this version has.
  ...['consoles', 'crypto', 'dma', 'execdomains', 'misc'],
])

/**
 * A file system of processes is new in each sandbox, but most of what else is in it is the whole
 * machine's: the command line of its boot, which may name hosts and ports, its disks, its buses, its
 * keys. Whatever others may read there, and is not known to be harmless, is covered: a file by one
 * that does not open, a directory by `empty`. Each cover costs a start 0.2 ms (measured), so what only
 * root may read, which no sandbox is, gets none. `pressure` is read, but to write there is to have the
 * kernel watch.
 */
export async function procMounts(o: { readonly empty: string }): Promise<Mount[]> {
  const names = (await readdir('/proc')).filter((name) => !/^\d+$/.test(name))
  return (await Promise.all(names.map((name) => coverOf(name, o.empty)))).flat()
}

async function coverOf(name: string, empty: string): Promise<Mount[]> {
  const to = join('/proc', name)
  if (name === 'pressure') return [{ kind: 'read_only', from: to, to }]
  const entry = await lstat(to).catch(() => null) // A module was unloaded just now.
  if (entry === null || shown.has(name) || (entry.mode & 0o006) === 0) return []
  if (entry.isDirectory()) return [{ kind: 'read_only', from: empty, to }]
  // Mounted without devices, as everything is: it is there and cannot be opened.
  return entry.isFile() ? [{ kind: 'read_only', from: '/dev/null', to }] : []
}
