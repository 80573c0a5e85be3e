import type { DiskFloor } from './disk-floor.ts'
import type { MemoryFloor } from './memory-floor.ts'

/** What a task says that waits since a node begins nothing; figures are in `/health`. */
export const heldMessages = {
  disk: 'The task waits for room on the disk: less than DISK_FLOOR_MIB is left.',
  memory: 'The task waits for memory: less than MEMORY_FLOOR_MIB is free.',
} as const

export type Held = keyof typeof heldMessages

/** Why nothing new is begun here; null: it is. */
export async function heldBy(o: {
  readonly disk: DiskFloor
  /** Null: this process runs no tasks. */
  readonly memory: MemoryFloor | null
}): Promise<Held | null> {
  if ((await o.disk.look()).problem !== null) return 'disk'
  return (o.memory?.look().problem ?? null) === null ? null : 'memory'
}
