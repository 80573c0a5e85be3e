import type { Clock } from '../clock.ts'
import { deleteEndpointsOfTask } from '../store/endpoints.ts'
import { forgetResponses } from '../store/idempotency.ts'
import type { Store } from '../store/open.ts'
import { removeSession } from '../store/remove-session.ts'
import type { TaskRow } from '../store/tables.ts'
import { lockTask } from '../store/tasks.ts'
import { hasEnded } from './machine.ts'

/**
 * Deletes an ended task for good: its session with everything that was recorded of it, and what
 * repeats of its order were answered. What the world got stays: branches, pull requests, and a
 * callback that is still to be delivered, which goes once it is. The node that ran it removes files
 * that are left when it next clears up. Answers the task as it was, or as it still is when it has
 * not ended, or not before then; `undefined`: there is none.
 */
export function deleteTask(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  id: string,
  { endedBefore }: { readonly endedBefore?: Date } = {},
): Promise<TaskRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const row = await lockTask(trx, id)
    if (row === undefined || !hasEnded(row)) return row
    // It went on, and has ended once more, since it was looked for.
    if (endedBefore && row.completed_at && row.completed_at >= endedBefore) return row
    await forgetResponses(trx, id)
    await deleteEndpointsOfTask(trx, id)
    await removeSession(trx, { id: row.session_id, now: new Date(clock.now()) })
    return row
  })
}
