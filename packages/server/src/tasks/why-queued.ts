import type { Clock } from '../clock.ts'
import type { Db, TaskRow } from '../store/tables.ts'
import { heldOfAll } from '../store/workers.ts'

/** What a task says that waits since nothing is begun anywhere; figures are in `/health`. */
const heldMessages = {
  disk: 'The task waits for room on the disk: less than DISK_FLOOR_MIB is left.',
  memory: 'The task waits for memory: less than MEMORY_FLOOR_MIB is free.',
} as const

/**
 * What tasks that wait for a slot say of it now; null: what they said when they were queued. It is never
 * written down: it is over as soon as one worker has room, or none is there any more.
 */
export async function whyQueued(
  db: Db,
  o: { readonly rows: readonly TaskRow[]; readonly clock: Clock },
): Promise<string | null> {
  if (!o.rows.some(({ reason }) => reason === 'queued')) return null
  const held = await heldOfAll(db, new Date(o.clock.now()))
  return held && heldMessages[held]
}
