import {
  type FieldError,
  fieldErrors,
  type GivenOrder,
  type OrderPolicy,
  taskCreateOrder,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import type { Metrics } from '../metrics.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import { getKey } from '../store/keys.ts'
import type { Store } from '../store/open.ts'
import type { ScheduleRow, TaskRow, Trx } from '../store/tables.ts'

/** What schedules work with. */
export interface ScheduleDeps {
  readonly store: Store
  readonly queue: WorkQueue
  readonly clock: Clock
  readonly metrics: Metrics
  /** Which orders this server takes. */
  readonly policy: OrderPolicy
  readonly create: (trx: Trx, order: GivenOrder, caller: Caller) => Promise<TaskRow>
}

/** A schedule that could never do what it says. */
export class ScheduleRefused extends Error {
  readonly fields: readonly FieldError[]

  constructor(fields: readonly FieldError[]) {
    super('The schedule is not valid.')
    this.fields = fields
  }
}

/** The order of a task; throws `ScheduleRefused` when this server does not take it (any more). */
export function orderOf(
  policy: OrderPolicy,
  order: ScheduleRow['order'],
  scrubber: Scrubber | null = null,
): GivenOrder {
  const result = taskCreateOrder(policy).safeParse(order)
  if (result.success) return result.data
  const fields = fieldErrors(result.error, order, (text) => scrubber?.text(text) ?? text)
  throw new ScheduleRefused(
    fields.map(({ field, message }) => ({ field: `order.${field}`, message })),
  )
}

/** Who ordered the tasks of a schedule; null: that key was revoked. */
export async function callerOf(trx: Trx, keyId: string): Promise<Caller | null> {
  const key = await getKey(trx, keyId)
  if (key === undefined || key.revoked_at !== null) return null
  return { keyId, name: key.name, scopes: key.scopes }
}
