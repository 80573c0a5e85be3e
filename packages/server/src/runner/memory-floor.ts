import type { Log } from '../log.ts'

/**
 * Holds new work back while less memory is free than `MEMORY_FLOOR_MIB`: what runs may still grow to
 * its own limits, and the server and its database need some. Work that is not begun stays queued,
 * for other nodes too. Each change is logged once.
 */
export class MemoryFloor {
  readonly #o: MemoryFloorOptions
  #isHeld = false

  constructor(o: MemoryFloorOptions) {
    this.#o = o
  }

  /** Whether nothing new may be begun now. */
  isHeld(): boolean {
    const { floorBytes, log, freeBytes: ask = process.availableMemory } = this.#o
    const freeBytes = ask()
    const isHeld = freeBytes < floorBytes
    if (isHeld !== this.#isHeld) {
      if (isHeld) log.warn({ freeBytes, floorBytes }, 'little memory is free: no task is begun')
      else log.info({ freeBytes, floorBytes }, 'memory is free again, and tasks are begun')
    }
    this.#isHeld = isHeld
    return isHeld
  }
}

interface MemoryFloorOptions {
  /** 0: work is begun whatever is free. */
  readonly floorBytes: number
  readonly log: Log
  /** Default: what this process could still take, by its machine and its control group. */
  readonly freeBytes?: () => number
}
