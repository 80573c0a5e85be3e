import { statfsSync } from 'node:fs'

/** What is left when a disk counts as full: less than this, and no more than a sixteenth of it. */
const restBytesMax = 8 * 1024 ** 2
/**
 * Where sessions are only counted, what runs is ended when the host's own disk has less than this, and
 * less than a sixteenth of it: the store needs some, and between two counts a disk writes a gigabyte.
 */
const hostRestBytesMax = 256 * 1024 ** 2

/** How much of a file system is taken, and whether anything still fits. */
export interface Filled {
  readonly bytes: number
  readonly isFull: boolean
}

/**
 * The file system that is mounted at a directory. It answers from memory, so this never waits for
 * a disk.
 */
export function filledAt(directory: string): Filled {
  const { blocks, bavail, bfree, bsize, ffree, files } = statfsSync(directory)
  const rest = Math.min(restBytesMax, (blocks * bsize) / 16)
  return {
    bytes: (blocks - bfree) * bsize,
    // A file system without a table of its own (files: 0) never runs out of entries.
    isFull: bavail * bsize < rest || (files > 0 && ffree === 0),
  }
}

/** Whether the file system that a directory is on is about to be full for everybody. */
export function isRunningOut(directory: string): boolean {
  const { blocks, bavail, bsize } = statfsSync(directory)
  return bavail * bsize < Math.min(hostRestBytesMax, (blocks * bsize) / 16)
}
