import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** One entry of the file system inside. */
export type Mount =
  | { readonly kind: 'read_only' | 'read_write'; readonly from: string; readonly to: string }
  | { readonly kind: 'symlink'; readonly target: string; readonly to: string }
  | { readonly kind: 'memory'; readonly bytesMax: number; readonly to: string }
  | { readonly kind: 'empty'; readonly to: string }

/**
 * What a sandbox sees of the host: /usr with the links that a merged /usr has beside it, and the
 * few entries of /etc that programs need. Everything else is absent, not hidden.
 */
export async function systemMounts(): Promise<Mount[]> {
  const etc = await readdir('/etc')
  const wanted = etc.filter((name) => /^java-\d+-openjdk$/.test(name)).concat(etcEntries)
  const mounts = await Promise.all([
    ...rootEntries.map(rootMount),
    ...wanted.map((name) => etcMount(join('/etc', name))),
  ])
  return [readOnly('/usr'), ...mounts.flat()]
}

/** The account inside; the number outside is never shown. */
export const insideUid = 1000

/** Files of ours that stand in /etc, by name. */
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

/** Certificates, the linker's cache, and tables; nothing that can hold a credential. */
const etcEntries = [
  'alternatives',
  'ca-certificates',
  'ca-certificates.conf',
  'crypto-policies',
  'debian_version',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'mime.types',
  'os-release',
  'pki/ca-trust',
  'pki/tls/certs',
  'pki/tls/cert.pem',
  'protocols',
  'services',
  'ssl/cert.pem',
  'ssl/certs',
  'ssl/openssl.cnf',
  'timezone',
]

async function rootMount(name: string): Promise<Mount[]> {
  const path = `/${name}`
  const entry = await lstat(path).catch(() => null) // Not every host has each of them.
  if (entry === null) return []
  if (!entry.isSymbolicLink()) return [readOnly(path)]
  return [{ kind: 'symlink', target: await readlink(path), to: path }]
}

/** What others may not read cannot be bound by an unprivileged uid, and should not be. */
async function etcMount(path: string): Promise<Mount[]> {
  const entry = await stat(path).catch(() => null) // Absent on this host, or a dangling link.
  return entry !== null && (entry.mode & 0o004) !== 0 ? [readOnly(path)] : []
}

function readOnly(path: string): Mount {
  return { kind: 'read_only', from: path, to: path }
}
