import type { Held } from '../store/worker-table.ts'
import type { DiskFloor } from './disk-floor.ts'
import type { MemoryFloor } from './memory-floor.ts'

/** Why nothing new is begun here; null: it is. */
export async function heldBy(o: {
  readonly disk: DiskFloor
  readonly memory: MemoryFloor
}): Promise<Held | null> {
  if ((await o.disk.look()).problem !== null) return 'disk'
  return o.memory.look().problem === null ? null : 'memory'
}
