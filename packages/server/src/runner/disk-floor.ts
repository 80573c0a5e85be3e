import { statfs } from 'node:fs/promises'
import type { Metrics } from '../metrics.ts'

/** What is asked of a file system: as `statfs` of `node:fs/promises`. */
export type Statfs = (path: string) => Promise<{ readonly bavail: number; readonly bsize: number }>

/** What the file system of the data directory has left, and whether work is begun on it. */
export interface DiskSpace {
  /** For those who are not root, as sessions and the store are not; null: it could not be read. */
  readonly freeBytes: number | null
  /** 0: work is begun whatever is left. */
  readonly floorBytes: number
  /** Why nothing new is begun, and what to do; null: it is. */
  readonly problem: string | null
}

/** What can be had again gives way while less than so many floors are left. */
const marksFloors = 2

/**
 * Holds new work back while the disk has less left than `DISK_FLOOR_MIB`: what runs may still grow
 * to its own limits, and the store needs room to write down how it ends. Work that is not begun stays
 * queued. The metrics follow every look.
 */
export class DiskFloor {
  readonly #o: DiskFloorOptions

  constructor(o: DiskFloorOptions) {
    this.#o = o
  }

  /** How it is now; never rejects. */
  async look(): Promise<DiskSpace> {
    const { directory, floorBytes, metrics, statfs: ask = statfs } = this.#o
    const freeBytes = await ask(directory).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => null,
    )
    metrics.diskFloor.set(floorBytes)
    metrics.diskFree.set(freeBytes ?? Number.NaN)
    return { freeBytes, floorBytes, problem: problemOf({ freeBytes, floorBytes }) }
  }

  /** Whether what can be had again is to give way: sooner than work has to wait. */
  async isLow(): Promise<boolean> {
    const { freeBytes, floorBytes, problem } = await this.look()
    return problem !== null || (freeBytes ?? 0) < marksFloors * floorBytes
  }
}

interface DiskFloorOptions {
  /** The data directory. */
  readonly directory: string
  readonly floorBytes: number
  readonly metrics: Metrics
  readonly statfs?: Statfs
}

/** In doubt nothing is begun: a disk that does not answer keeps no work either. */
function problemOf({ freeBytes, floorBytes }: Omit<DiskSpace, 'problem'>): string | null {
  if (floorBytes === 0 || (freeBytes !== null && freeBytes >= floorBytes)) return null
  const floor = `DISK_FLOOR_MIB (${floorBytes / 1024 ** 2})`
  const waits = 'no task is begun, and those that are ordered wait'
  if (freeBytes === null) return `The disk of DATA_DIR does not say what is left on it: ${waits}.`
  const left = `The disk of DATA_DIR has ${Math.floor(freeBytes / 1024 ** 2)} MiB left`
  return `${left}, less than ${floor}: ${waits} until there is more; free some, or lower it.`
}
