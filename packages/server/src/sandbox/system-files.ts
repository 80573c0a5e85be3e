import { lstat, readlink } from 'node:fs/promises'

/** One entry of the file system inside. */
export type Mount =
  | { readonly kind: 'read_only' | 'read_write'; readonly from: string; readonly to: string }
  | { readonly kind: 'symlink'; readonly target: string; readonly to: string }
  | { readonly kind: 'memory'; readonly bytesMax: number; readonly to: string }

/**
 * What a sandbox sees of the host, beside a few files of its /etc (`ShownEtc`): /usr with the links
 * that a merged /usr has beside it. Everything else is absent, not hidden.
 */
export async function systemMounts(): Promise<Mount[]> {
  return [readOnly('/usr'), ...(await Promise.all(rootEntries.map(rootMount))).flat()]
}

/** The account inside; the number outside is never shown. */
export const insideUid = 1000

/** Where a session's files of ours are inside: its `systemDirectory`. */
export const ownDirectory = '/run/longhaul'

/** Files of ours that stand in /etc, and where they are. */
export const etcLinks: ReadonlyMap<string, string> = new Map(
  ['passwd', 'group', 'hosts', 'nsswitch.conf', 'gitconfig'].map((name) => [
    name,
    `${ownDirectory}/${name}`,
  ]),
)

/** Those of them that are the same for every repository, by name. */
export function etcFiles(o: { readonly home: string }): Record<string, string> {
  return {
    passwd: `agent:x:${insideUid}:${insideUid}:agent:${o.home}:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`,
    group: `agent:x:${insideUid}:\nnogroup:x:65534:\n`,
    hosts: '127.0.0.1 localhost sandbox\n::1 localhost\n',
    // No resolver: a name that is not in hosts fails at once instead of after a timeout.
    'nsswitch.conf': 'passwd: files\ngroup: files\nshadow: files\nhosts: files\n',
  }
}

const rootEntries = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']

async function rootMount(name: string): Promise<Mount[]> {
  const path = `/${name}`
  const entry = await lstat(path).catch(() => null) // Not every host has each of them.
  if (entry === null) return []
  if (!entry.isSymbolicLink()) return [readOnly(path)]
  return [{ kind: 'symlink', target: await readlink(path), to: path }]
}

function readOnly(path: string): Mount {
  return { kind: 'read_only', from: path, to: path }
}
