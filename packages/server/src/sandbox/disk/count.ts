import { ownedDirectories } from '../directories.ts'
import type { Sandbox } from '../driver.ts'
import { answerBytesMax } from '../limits.ts'

/** A million files take 7 s (measured); a count that takes longer than this is given up. */
const countMsMax = 60_000

/**
 * Bytes that the session's directories hold on the host's disk, counted from inside: names and links
 * there are the agent's. A directory that it closed to itself is not looked into. Null when the
 * count was cut off.
 */
export async function countFiles(sandbox: Sandbox): Promise<number | null> {
  const result = await sandbox.exec(['du', '-skcx', ...ownedDirectories(sandbox.paths)], {
    cwd: '/',
    home: 'all',
    network: false,
    timeoutMs: countMsMax,
    outputBytesMax: answerBytesMax,
    signal: new AbortController().signal,
  })
  const [, total] = /^(\d+)\s+total$/m.exec(result.stdout) ?? []
  return total === undefined ? null : Number(total) * 1024
}
