import type { Metrics } from '../metrics.ts'

/** What this process could still take, and whether work is begun beside it. */
export interface MemorySpace {
  readonly freeBytes: number
  /** 0: work is begun whatever is free. */
  readonly floorBytes: number
  /** Why nothing new is begun, and what to do; null: it is. */
  readonly problem: string | null
}

/**
 * Holds new work back while less memory is free than `MEMORY_FLOOR_MIB`: what runs may still grow to
 * its own limits, and the server and its database need some. Work that is not begun stays queued,
 * for other nodes too. The metrics follow every look.
 */
export class MemoryFloor {
  readonly #o: MemoryFloorOptions

  constructor(o: MemoryFloorOptions) {
    this.#o = o
  }

  /** How it is now. */
  look(): MemorySpace {
    const { floorBytes, metrics, freeMemory: ask = process.availableMemory } = this.#o
    const freeBytes = ask()
    metrics.memoryFloor.set(floorBytes)
    metrics.memoryFree.set(freeBytes)
    return { freeBytes, floorBytes, problem: problemOf({ freeBytes, floorBytes }) }
  }
}

interface MemoryFloorOptions {
  readonly floorBytes: number
  readonly metrics: Metrics
  /** Bytes; default: what this process could still take, by its machine and its control group. */
  readonly freeMemory?: () => number
}

function problemOf({ freeBytes, floorBytes }: Omit<MemorySpace, 'problem'>): string | null {
  if (freeBytes >= floorBytes) return null
  const free = `${Math.floor(freeBytes / 1024 ** 2)} MiB of memory are free`
  const floor = `MEMORY_FLOOR_MIB (${floorBytes / 1024 ** 2})`
  return `${free}, less than ${floor}: no task is begun here, and those that are ordered wait until there is more, or go to other nodes.`
}
