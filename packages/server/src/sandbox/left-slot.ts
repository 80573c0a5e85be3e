import { lstat } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { ownedDirectories, pathsOf } from './directories.ts'
import { openDisk } from './disk/disk.ts'
import { sharedSlot } from './limits.ts'

/** See `SandboxDriver.slotOf`: it looks at owners alone, and follows no link. */
export async function leftSlot(o: {
  readonly directory: string
  readonly uidBase: number
  /** Search path for the tools of file systems. */
  readonly path: string
  readonly clock: Clock
  readonly log: Log
}): Promise<number | null> {
  if (process.getuid?.() !== 0) return null
  const nothing = { bytesMax: 0, tmpBytesMax: 0 }
  const disk = await openDisk({ ...o, ...nothing, root: o.directory, kind: 'watch' })
  try {
    for (const path of ownedDirectories(pathsOf(o.directory))) {
      const uid = await ownerOf(disk.onHost(path))
      // Root's: made by a server that died before it gave it away.
      if (uid === null || uid === 0) continue
      const slot = uid - o.uidBase
      if (slot >= 1 && slot < sharedSlot) return slot
      throw new Error(`${path} belongs to uid ${uid}, which is no session's`)
    }
    return null
  } finally {
    await disk.close()
  }
}

/** Null: it is not there, or no directory. */
function ownerOf(path: string): Promise<number | null> {
  return lstat(path).then(
    (entry) => (entry.isDirectory() ? entry.uid : null),
    () => null,
  )
}
