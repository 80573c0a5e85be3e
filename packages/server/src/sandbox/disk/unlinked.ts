import { readdir, readFile, stat } from 'node:fs/promises'
import { exited, sandboxedProcesses, threadsOf } from '../process-table.ts'

/**
 * Descriptors that are looked at for one count: 512 threads with 400 each, say. Each thread may have
 * a table of its own (`unshare`), and one that it shares is looked at again: nothing tells them apart.
 */
const descriptorsMax = 200_000

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
  const processes = await sandboxedProcesses(o)
  const threads = (await Promise.all(processes.map(({ pid }) => threadsOf(pid)))).flat()
  for (const thread of threads) {
    const descriptors = await descriptorsOf(thread)
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

async function descriptorsOf(thread: string): Promise<string[] | null> {
  const directory = `${thread}/fd`
  try {
    return (await readdir(directory)).map((name) => `${directory}/${name}`)
  } catch (error) {
    const isGone =
      error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH'].includes(String(error.code))
    // What a thread that has exited shows is root's, and empty.
    const status = isGone ? '' : await readFile(`${thread}/status`, 'utf8').catch(() => '')
    return isGone || exited.test(status) ? [] : null
  }
}
