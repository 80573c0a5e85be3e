import type { DeliveryStatus } from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Db, DeliveryRow, DeliveryTryRow, Trx } from './tables.ts'
import { toJson, toText } from './values.ts'

/** Tries of one delivery that are kept. */
const triesMax = 50
/** Deliveries that are removed at once. */
const removedMax = 1000

/** One try, as it was made and answered. */
export interface NewTry {
  readonly deliveryId: string
  readonly startedAt: Date
  readonly durationMs: number
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly answer: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  } | null
  readonly error: string | null
}

/** Adds a try to the log of its delivery, which keeps the last 50; none to one that is gone. */
export async function insertTry(trx: Trx, o: NewTry): Promise<void> {
  const { answer } = o
  await sql`
    insert into delivery_tries (delivery_id, started_at, duration_ms, request_headers, status,
      response_headers, response_body, error)
    select id, ${o.startedAt}, ${Math.max(0, Math.round(o.durationMs))},
      ${toJson(o.requestHeaders)}::jsonb, ${answer?.status ?? null}::int,
      ${answer && toJson(answer.headers)}::jsonb, ${answer && toText(answer.body)},
      ${o.error && toText(o.error)}
    from deliveries where id = ${o.deliveryId}`.execute(trx)
  await sql`delete from delivery_tries where delivery_id = ${o.deliveryId} and position <= (
    select position from delivery_tries where delivery_id = ${o.deliveryId}
    order by position desc offset ${triesMax} limit 1)`.execute(trx)
}

/** Oldest first. */
export function listTries(db: Db, deliveryId: string): Promise<DeliveryTryRow[]> {
  return db
    .selectFrom('delivery_tries')
    .selectAll()
    .where('delivery_id', '=', deliveryId)
    .orderBy('position')
    .limit(triesMax)
    .execute()
}

export function getDelivery(db: Db, id: string): Promise<DeliveryRow | undefined> {
  return db.selectFrom('deliveries').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Those that fit, newest first, from the one that follows the position `before` on. */
export function listDeliveries(
  db: Db,
  o: {
    readonly endpointId?: string
    /** What is told of this task or its session. */
    readonly taskId?: string | undefined
    /** Those of its endpoints, and the callbacks of its tasks; absent: whosoever. */
    readonly keyId?: string | undefined
    readonly status?: DeliveryStatus | undefined
    readonly before?: number | undefined
    readonly limit: number
  },
): Promise<DeliveryRow[]> {
  let query = db.selectFrom('deliveries').selectAll()
  if (o.endpointId !== undefined) query = query.where('endpoint_id', '=', o.endpointId)
  if (o.taskId !== undefined)
    query = query.where(
      sql<boolean>`session_id = (select session_id from tasks where id = ${o.taskId})`,
    )
  if (o.keyId !== undefined) query = query.where('created_by', '=', o.keyId)
  if (o.status !== undefined) query = query.where(conditions[o.status])
  if (o.before !== undefined) query = query.where('position', '<', o.before)
  return query.orderBy('position', 'desc').limit(o.limit).execute()
}

const conditions: Readonly<Record<DeliveryStatus, ReturnType<typeof sql<boolean>>>> = {
  pending: sql<boolean>`delivered_at is null and gave_up_at is null`,
  delivered: sql<boolean>`delivered_at is not null`,
  dead: sql<boolean>`delivered_at is null and gave_up_at is not null`,
}

/** Removes some deliveries to endpoints that were settled before; callbacks stay with their tasks. */
export async function removeSettled(db: Db, before: Date): Promise<void> {
  await sql`delete from deliveries where id in (
    select id from deliveries where endpoint_id is not null
      and coalesce(delivered_at, gave_up_at) < ${before}
    limit ${removedMax})`.execute(db)
}

/** What waits for a try, on all nodes together, and since when the oldest of it does. */
export async function countWaiting(
  db: Db,
): Promise<{ readonly count: number; readonly oldest: Date | null }> {
  const { rows } = await sql<{ count: number; oldest: Date | null }>`
    select count(*) as count, min(queued_at) as oldest from deliveries
    where delivered_at is null and gave_up_at is null`.execute(db)
  return rows[0] ?? { count: 0, oldest: null }
}
