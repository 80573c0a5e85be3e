import { countParam, pageDefault, pageMax, taskId, taskStatus } from '@longhaul/client/contract'
import { z } from 'zod'
import type { Store } from '../store/open.ts'
import type { TaskRow } from '../store/tables.ts'
import { listTasks } from '../store/tasks.ts'

/** The query of both lists of tasks. */
export const listQuery = z.strictObject({
  status: taskStatus.optional(),
  limit: countParam(1, pageMax).optional(),
  page: taskId.optional().describe('Opaque: the next page as the page before named it.'),
})

/** One page of tasks, newest first, and the cursor of the next. */
export async function pageOfTasks(
  store: Store,
  query: z.output<typeof listQuery>,
): Promise<{ rows: TaskRow[]; next: string | null }> {
  const limit = query.limit ?? pageDefault
  const rows = await listTasks(store.db, {
    ...(query.status && { status: query.status }),
    ...(query.page && { before: query.page }),
    limit: limit + 1,
  })
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return { rows: rows.slice(0, limit), next: last?.id ?? null }
}
