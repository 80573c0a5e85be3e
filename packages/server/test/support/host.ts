import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { seccompProgram } from '../../src/sandbox/seccomp/program.ts'
import { makeDirectory } from './postgres.ts'

const cli = join(import.meta.dirname, '../../src/cli.ts')

/** A host that differs from this one for one command, and for nothing else on it. */
export interface Host {
  /**
   * Shell commands that change it, in a mount namespace of the command's own. `$scratch` is memory
   * for what they need; `without NAME…` takes programs out of /usr/bin.
   */
  readonly prepare?: string
  /** A filter of system calls refuses namespaces to everything on it, as containers do. */
  readonly refusesNamespaces?: boolean
  /** Everything on it is in a user namespace, whose own limits `prepare` may set. */
  readonly isNested?: boolean
  /** Root lacks these capabilities: `-chown`, or `-all`. */
  readonly withoutCapabilities?: string
  /** Root is the only uid of a user namespace. */
  readonly isSingleUid?: boolean
  /** The command's user; root where there is none. */
  readonly uid?: number
}

export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs `longhaul …` there to its end. Only for root. */
export async function longhaulOn(
  host: Host,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  await using scratch = await makeDirectory()
  const child = await startOn(host, { args, env, scratch: scratch.path })
  const said = { out: '', err: '' }
  child.stdout?.on('data', (chunk) => {
    said.out += String(chunk)
  })
  child.stderr?.on('data', (chunk) => {
    said.err += String(chunk)
  })
  const [code] = await once(child, 'close')
  return { code, ...said }
}

/** Runs `longhaul serve` there; disposing stops it. Resolves with its address. */
export async function serverOn(
  host: Host,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const scratch = await makeDirectory()
  const child = await startOn(host, { args: ['serve'], env, scratch: scratch.path })
  const listening = Promise.withResolvers<string>()
  if (child.stdout === null || child.stderr === null) throw new Error('spawned without pipes')
  child.stderr.resume()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const url = /^listening on (\S+)$/.exec(line)?.[1]
    if (url !== undefined) listening.resolve(url)
  })
  const closed = once(child, 'close')
  void closed.then(([code]) => listening.reject(new Error(`the server ended with ${code}`)))
  return {
    url: await listening.promise,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await closed
      await scratch[Symbol.asyncDispose]()
    },
  }
}

async function startOn(
  host: Host,
  o: {
    readonly args: readonly string[]
    readonly env: Readonly<Record<string, string>>
    readonly scratch: string
  },
): Promise<ChildProcess> {
  const filter = join(o.scratch, 'filter')
  await writeFile(filter, seccompProgram(process.arch) ?? '')
  const command = [
    ...(host.uid === undefined ? [] : ['setpriv', '--reuid', String(host.uid)]),
    ...(host.uid === undefined ? [] : ['--regid', String(host.uid), '--clear-groups']),
    ...[process.execPath, '--conditions=longhaul', cli, ...o.args],
  ]
  // bwrap without namespaces of its own, only for its option to load a filter.
  const filtered = ['bwrap', '--dev-bind', '/', '/', '--cap-add', 'ALL', '--seccomp', '9', '--']
  const dropped = host.withoutCapabilities
  const argv = [
    ...(host.refusesNamespaces === true ? filtered : []),
    ...(dropped === undefined ? [] : ['setpriv', `--bounding-set=${dropped}`]),
    ...(dropped === undefined ? [] : [`--inh-caps=${dropped}`]),
    ...(host.isSingleUid === true ? ['unshare', '-U', '-r'] : []),
    ...command,
  ]
  const unshare = ['-m', '--propagation', 'private', ...(host.isNested === true ? ['-U'] : [])]
  const script = `${setUp}\n${host.prepare ?? ''}\nexec "$@" 9<"$filter"`
  const child = spawn('unshare', [...unshare, 'sh', '-c', script, 'sh', ...argv], {
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      HOME: '/nonexistent',
      PORT: '0',
      ...o.env,
      scratch: o.scratch,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  await once(child.stderr, 'data')
  // All ids stand for themselves: root there has no rights here.
  if (host.isNested === true)
    for (const map of ['uid_map', 'gid_map'])
      await writeFile(`/proc/${child.pid}/${map}`, '0 0 65536')
  child.stdin.end('\n')
  return child
}

const setUp = `
set -e
echo ready >&2
read -r _
exec 8<"$scratch/filter"
mount -t tmpfs none "$scratch"
chmod 755 "$scratch"
filter=$scratch/filter
cat <&8 >"$filter"
without() {
  mkdir "$scratch/upper" "$scratch/work"
  for name; do mknod "$scratch/upper/$name" c 0 0; done
  mount -t overlay -o "lowerdir=/usr/bin,upperdir=$scratch/upper,workdir=$scratch/work" none /usr/bin
}
`
