import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeTraversable } from './directories.ts'
import type { Mount } from './system-files.ts'

/**
 * The /etc of every sandbox: a directory of the server's, with a copy of the few entries of the
 * host's that programs need, and links to where a session's own files are inside. So a command binds
 * one directory in place of twenty entries, each of which had bwrap read the table of all mounts.
 * Large directories (certificates, alternatives) are bound over it: their copy takes longer than a
 * server may take to start. Only what others may read is copied, since the copy is the server's. It
 * is made anew when the host's entries changed; the one before stays until the server's next start,
 * for who runs in it.
 */
export class ShownEtc {
  readonly #host: string
  readonly #directory: string
  readonly #id = randomUUID()
  readonly #links: ReadonlyMap<string, string>
  #count = 0
  #made: { readonly of: string; readonly mounts: Promise<Mount[]> } | null = null

  constructor(o: {
    readonly host?: string
    /** Where it is made; nothing else is there. */
    readonly directory: string
    /** What is not the host's: names, and where they lead inside. */
    readonly links: ReadonlyMap<string, string>
  }) {
    this.#host = o.host ?? '/etc'
    this.#directory = o.directory
    this.#links = o.links
  }

  /** What shows it, as the host's is now. */
  async mounts(): Promise<Mount[]> {
    const names = await wantedNames(this.#host)
    const states = names.map((name) => stateOf(join(this.#host, name)))
    const of = (await Promise.all(states)).join('\n')
    if (this.#made?.of === of) return this.#made.mounts
    const made = { of, mounts: this.#make(names) }
    this.#made = made
    made.mounts.catch(() => {
      if (this.#made === made) this.#made = null // The next one tries again.
    })
    return made.mounts
  }

  /** Removes what earlier servers made. Only for who alone uses the directory. */
  async recover(): Promise<void> {
    const names = await readdir(this.#directory).catch(() => []) // None was made yet.
    for (const name of names.filter((each) => !each.startsWith(this.#id)))
      await rm(join(this.#directory, name), { recursive: true })
  }

  async #make(names: readonly string[]): Promise<Mount[]> {
    await makeTraversable(this.#directory)
    this.#count += 1
    const root = join(this.#directory, `${this.#id}-${this.#count}`)
    await makeListed(root)
    for (const [name, target] of this.#links) await symlink(target, join(root, name))
    const mounts: Mount[] = [{ kind: 'read_only', from: root, to: '/etc' }]
    for (const name of names) {
      const from = join(this.#host, name)
      const to = join(root, name)
      if (await isLarge(from)) {
        await makeListed(to)
        mounts.push({ kind: 'read_only', from, to: join('/etc', name) })
      } else await copyWanted(from, to)
    }
    return mounts
  }
}

/** Names in a directory that is copied. */
const copiedMax = 40

/** Certificates, the linker's cache, and tables; nothing that can hold a credential. */
const wanted = [
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

async function wantedNames(etc: string): Promise<string[]> {
  const names = await readdir(etc)
  return names.filter((name) => /^java-\d+-openjdk$/.test(name)).concat(wanted)
}

/** What changes with an entry: a directory's says whether names came, went or were replaced. */
async function stateOf(path: string): Promise<string> {
  const entry = await stat(path).catch(() => null) // Not every host has each of them.
  if (entry === null) return `${path} -`
  return `${path} ${entry.dev} ${entry.ino} ${entry.size} ${entry.mode} ${entry.ctimeMs}`
}

/** What leads below /usr, which is shown, stays a link: the name of a time zone is in it. */
async function copyWanted(from: string, to: string): Promise<void> {
  const real = await realpath(from).catch(() => null) // Absent on this host, or a dangling link.
  if (real === null) return
  await makeListed(dirname(to))
  const target = resolve(dirname(from), await readlink(from).catch(() => real))
  if (real.startsWith('/usr/') && target.startsWith('/usr/')) await symlink(target, to)
  else await copyReadable(real, to)
}

/** What others may not read is not: it cannot be bound by an unprivileged uid, and should not be. */
async function isLarge(path: string): Promise<boolean> {
  const entry = await stat(path).catch(() => null)
  if (entry === null || !entry.isDirectory() || !othersRead(entry)) return false
  return (await readdir(path, { recursive: true })).length > copiedMax
}

async function copyReadable(from: string, to: string): Promise<void> {
  const entry = await lstat(from).catch(() => null) // Gone meanwhile.
  if (entry === null) return
  if (entry.isSymbolicLink()) return symlink(await readlink(from), to)
  if (!othersRead(entry)) return
  if (entry.isFile()) {
    await copyFile(from, to)
    await chmod(to, 0o644)
  }
  if (!entry.isDirectory()) return
  await makeListed(to)
  const names = await readdir(from)
  await Promise.all(names.map((name) => copyReadable(join(from, name), join(to, name))))
}

function othersRead(entry: Stats): boolean {
  const needed = entry.isDirectory() ? 0o005 : 0o004
  return (entry.mode & needed) === needed
}

/** With what is above it; whatever the server's umask is. */
async function makeListed(directory: string): Promise<void> {
  if ((await stat(directory).catch(() => null)) !== null) return
  await makeListed(dirname(directory))
  await mkdir(directory)
  await chmod(directory, 0o755)
}
