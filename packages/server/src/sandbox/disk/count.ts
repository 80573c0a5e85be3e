import { ownedDirectories } from '../directories.ts'
import type { Sandbox } from '../driver.ts'
import { answerBytesMax } from '../limits.ts'
import type { Counted } from './disk.ts'

/** A million files take 7 s (measured); a count that takes longer than this is given up. */
const countMsMax = 60_000

/**
 * Bytes that the session's directories hold on the host's disk, counted from inside: names and links
 * there are the agent's. A directory that it closed to itself is not looked into. Null when the
 * count was cut off.
 */
export async function countFiles(sandbox: Sandbox): Promise<Counted | null> {
  const result = await sandbox.exec(['du', '-skx', ...ownedDirectories(sandbox.paths)], {
    cwd: '/',
    home: 'all',
    network: false,
    timeoutMs: countMsMax,
    outputBytesMax: answerBytesMax,
    signal: new AbortController().signal,
  })
  const counted = { files: 0, tmp: 0 }
  for (const path of ownedDirectories(sandbox.paths)) {
    const line = result.stdout.split('\n').find((each) => each.endsWith(`\t${path}`))
    if (line === undefined) return null
    counted[path === sandbox.paths.tmp ? 'tmp' : 'files'] += Number.parseInt(line, 10) * 1024
  }
  return counted
}
