import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Sandbox, SandboxProcess } from '../sandbox/driver.ts'
import type { Workspace } from './git.ts'

/** Bytes of one repository's caches, at most; beyond it nothing is kept. */
const cachesBytesMax = 2 * 1024 ** 3
const copyMsMax = 5 * 60_000

/** What package managers keep in a home that can be used again, and is no setting and no program. */
const cacheDirectories = [
  '.npm/_cacache',
  '.cache/pip',
  '.cache/yarn',
  '.cache/pnpm',
  '.local/share/pnpm/store',
  '.cargo/registry',
  'go/pkg/mod/cache/download',
]

/** Gives the home a copy of the caches below `from`, before set-up. What fails costs time, no more. */
export async function seedCaches({ sandbox, signal }: Workspace, from: string): Promise<void> {
  const script = 'cd "$1/caches" 2>/dev/null && cp -R --reflink=auto -- . "$HOME/"'
  await sandbox.exec(['bash', '-c', script, 'bash', from], {
    cwd: '/',
    show: [from],
    network: false,
    timeoutMs: copyMsMax,
    outputBytesMax: 4096,
    signal,
  })
}

/**
 * Replaces the caches in the home of `to` by those that set-up left in the home of `from`. It goes
 * from sandbox to sandbox as a tar stream, which the server only passes on and counts. False when
 * they could not be kept, or are too large; the old ones stay then.
 */
export async function keepCaches(from: Workspace, to: Workspace): Promise<boolean> {
  const late = AbortSignal.any([from.signal, to.signal, AbortSignal.timeout(copyMsMax)])
  const packing = start(from.sandbox, packScript, {
    home: 'all',
    args: [from.sandbox.paths.keptHome],
  })
  const unpacking = start(to.sandbox, unpackScript, { args: [] })
  const end = (): void => {
    packing.kill('SIGKILL')
    unpacking.kill('SIGKILL')
  }
  late.addEventListener('abort', end, { once: true })
  const ended = Promise.all([codeOf(packing), codeOf(unpacking)])
  try {
    await pipeline(packing.stdout, bounded(), unpacking.stdin).catch(end)
    const codes = await ended
    return codes.every((code) => code === 0)
  } finally {
    late.removeEventListener('abort', end)
  }
}

/** Only what is there; a home that the set-up filled with links leads nowhere but into itself. */
const packScript = `cd "$1" || exit
found=()
for path in ${cacheDirectories.join(' ')}; do [ -d "$path" ] && found+=("$path"); done
[ "\${#found[@]}" -gt 0 ] || exit 3
exec tar -cf - -- "\${found[@]}"`

/** Whole, or not at all: the new ones take the old ones' place once they are all there. */
const unpackScript = `umask 022 && cd "$HOME" && chmod 755 . || exit
chmod -R u+rwX next old 2>/dev/null; rm -rf next old && mkdir next || exit
tar -xf - --no-same-owner -C next && chmod -R a+rX,u+w next || exit
[ ! -e caches ] || mv caches old || exit
mv next caches && rm -rf old`

function start(
  sandbox: Sandbox,
  script: string,
  o: { readonly home?: 'all'; readonly args: readonly string[] },
): SandboxProcess {
  const home = o.home === undefined ? {} : { home: o.home }
  const child = sandbox.spawn(['bash', '-c', script, 'bash', ...o.args], {
    cwd: '/',
    network: false,
    ...home,
  })
  child.stderr.resume()
  return child
}

function codeOf(child: SandboxProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('exit', resolve)
    child.once('error', () => resolve(null))
  })
}

function bounded(): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > cachesBytesMax ? new Error('the caches are too large to keep') : null, chunk)
    },
  })
}
