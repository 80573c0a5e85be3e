import { pageDefault, type TaskQuery, taskCursor } from '@longhaul/client/contract'
import { atOneMoment } from '../store/one-moment.ts'
import type { Store } from '../store/open.ts'
import type { TaskRow } from '../store/tables.ts'
import { countTasks, listTasks, searchOf } from '../store/task-search.ts'

/** One page of the tasks that fit, newest first, the cursor of the next, and how many there are (see `totalMax`). */
export async function pageOfTasks(
  store: Store,
  { filter, after, limit = pageDefault }: TaskQuery,
): Promise<{ rows: TaskRow[]; next: string | null; total: number }> {
  const { found, total } = await atOneMoment(store.db, async (trx) => {
    const search = await searchOf(trx, filter)
    return {
      found: await listTasks(trx, { filter: search, after, limit: limit + 1 }),
      total: await countTasks(trx, search),
    }
  })
  const last = found.length > limit ? found[limit - 1] : undefined
  const next = last ? taskCursor({ createdAt: last.created_at, id: last.id }) : null
  return { rows: found.slice(0, limit), next, total }
}
