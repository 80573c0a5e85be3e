import { readdir, stat } from 'node:fs/promises'
import { type ProcessIdentity, sandboxedProcesses } from '../process-table.ts'

/** Descriptors that are looked at for one count: 512 processes with 200 each, say. Honest ones have fewer. */
const descriptorsMax = 100_000

/**
 * Bytes of files that have no name any more and that a process of the session has open: no walk
 * through directories finds them. Null: somebody's descriptors may not be read, or are too many.
 */
export async function unlinkedBytes(o: {
  readonly uid: number
  /** A directory that only the session's processes have mounted. */
  readonly mounted: string
  /** One on the file system that is counted. */
  readonly directory: string
}): Promise<number | null> {
  const { dev } = await stat(o.directory)
  const seen = new Map<number, number>()
  let left = descriptorsMax
  for (const process of await sandboxedProcesses(o)) {
    const descriptors = await descriptorsOf(process)
    left -= descriptors?.length ?? 0
    if (descriptors === null || left < 0) return null
    for (const path of descriptors) {
      const file = await stat(path).catch(() => null) // Closed meanwhile.
      if (file !== null && file.nlink === 0 && file.dev === dev && file.uid === o.uid)
        seen.set(file.ino, file.blocks * 512)
    }
  }
  return [...seen.values()].reduce((a, b) => a + b, 0)
}

async function descriptorsOf({ pid }: ProcessIdentity): Promise<string[] | null> {
  const directory = `/proc/${pid}/fd`
  try {
    return (await readdir(directory)).map((name) => `${directory}/${name}`)
  } catch (error) {
    const isGone =
      error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH'].includes(String(error.code))
    return isGone ? [] : null
  }
}
