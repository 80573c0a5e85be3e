import { ownedDirectories } from '../directories.ts'
import type { Sandbox } from '../driver.ts'
import { answerBytesMax } from '../limits.ts'
import type { Counted } from './disk.ts'
import { unlinkedBytes } from './unlinked.ts'

/** A million files take 7 s (measured); a count that takes longer than this is given up. */
const countMsMax = 60_000

/**
 * Bytes that the session's directories hold on the host's disk, counted from inside: names and links
 * there are the agent's. What it closed to itself is opened first, and files without a name count as
 * long as a process has them open. Null when the count was cut off or could not see everything.
 */
export async function countFiles(
  sandbox: Pick<Sandbox, 'paths' | 'uid' | 'exec'>,
): Promise<Counted | null> {
  const { paths } = sandbox
  // Before `du`: what loses its name meanwhile is then counted once, by its name.
  const unlinked = await unlinkedBytes({
    uid: sandbox.uid ?? process.getuid?.() ?? 0,
    mounted: paths.config,
    directory: paths.workspace,
  })
  if (unlinked === null) return null
  const result = await sandbox.exec(
    ['/bin/sh', '-c', countScript, 'sh', ...ownedDirectories(paths)],
    {
      cwd: '/',
      home: 'all',
      network: false,
      timeoutMs: countMsMax,
      outputBytesMax: answerBytesMax,
      signal: new AbortController().signal,
    },
  )
  if (/Permission denied/.test(result.stderr)) return null
  const counted = { files: unlinked, tmp: 0 }
  for (const path of ownedDirectories(paths)) {
    const line = result.stdout.split('\n').find((each) => each.endsWith(`\t${path}`))
    if (line === undefined) return null
    counted[path === paths.tmp ? 'tmp' : 'files'] += Number.parseInt(line, 10) * 1024
  }
  return counted
}

/** `chmod` first: a directory that its owner may not read has nothing for `du`. */
const countScript = `export LC_ALL=C
find "$@" -xdev -type d ! -perm -0500 -exec chmod u+rx {} \\; 2>/dev/null
exec du -skx "$@"`
