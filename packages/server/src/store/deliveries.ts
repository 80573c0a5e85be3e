import type { Db, DeliveryRow } from './tables.ts'
import { toText } from './values.ts'

export interface NewDelivery {
  /** Deterministic where the same end must be told once. */
  readonly id: string
  readonly sessionId: string
  readonly taskId: string | null
  readonly attempt: number | null
  readonly type: string
  readonly url: string
  /** Sent byte for byte: JSON text. */
  readonly body: string
  readonly nextTryAt: Date
  readonly createdBy: string | null
  readonly now: Date
}

/** What a try changes; a field that is absent stays. */
export interface DeliveryPatch {
  readonly tries?: number
  readonly nextTryAt?: Date | null
  readonly deliveredAt?: Date
  readonly gaveUpAt?: Date
  readonly lastStatus?: number | null
  readonly lastError?: string | null
}

/** An id that is there already is left as it is. */
export async function insertDelivery(db: Db, delivery: NewDelivery): Promise<void> {
  await db
    .insertInto('deliveries')
    .values({
      id: delivery.id,
      session_id: delivery.sessionId,
      task_id: delivery.taskId,
      attempt: delivery.attempt,
      type: delivery.type,
      url: delivery.url,
      body: toText(delivery.body),
      next_try_at: delivery.nextTryAt,
      created_by: delivery.createdBy,
      created_at: delivery.now,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}

/** Those to try now, the oldest first, locked until the caller's transaction ends. */
export function dueDeliveries(db: Db, now: Date, limit: number): Promise<DeliveryRow[]> {
  return db
    .selectFrom('deliveries')
    .selectAll()
    .where('delivered_at', 'is', null)
    .where('gave_up_at', 'is', null)
    .where('next_try_at', '<=', now)
    .orderBy('next_try_at')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute()
}

export async function updateDelivery(db: Db, id: string, patch: DeliveryPatch): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({
      id, // So that an empty patch is a statement too.
      ...(patch.tries === undefined ? {} : { tries: patch.tries }),
      ...(patch.nextTryAt === undefined ? {} : { next_try_at: patch.nextTryAt }),
      ...(patch.deliveredAt === undefined ? {} : { delivered_at: patch.deliveredAt }),
      ...(patch.gaveUpAt === undefined ? {} : { gave_up_at: patch.gaveUpAt }),
      ...(patch.lastStatus === undefined ? {} : { last_status: patch.lastStatus }),
      ...(patch.lastError === undefined
        ? {}
        : { last_error: patch.lastError && toText(patch.lastError) }),
    })
    .where('id', '=', id)
    .execute()
  if (patch.deliveredAt === undefined && patch.gaveUpAt === undefined) return
  // Of a session that was deleted meanwhile nothing stays.
  await db.deleteFrom('deliveries').where('id', '=', id).where('session_id', 'is', null).execute()
}

/** When the next try is due; null when none is. */
export async function nextDeliveryAt(db: Db): Promise<Date | null> {
  const row = await db
    .selectFrom('deliveries')
    .select('next_try_at')
    .where('delivered_at', 'is', null)
    .where('gave_up_at', 'is', null)
    .where('next_try_at', 'is not', null)
    .orderBy('next_try_at')
    .limit(1)
    .executeTakeFirst()
  return row?.next_try_at ?? null
}
