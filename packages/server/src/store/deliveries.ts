import { type RawBuilder, sql } from 'kysely'
import { writerOf } from './scrubbing-dialect.ts'
import type { Db, DeliveryRow } from './tables.ts'
import { inTransaction, toText } from './values.ts'

/** Notified at commit when something is to be sent. */
export const deliveriesChannel = 'longhaul_deliveries'
/** Of its notification: there is a secret that signs and that nobody may know yet. */
export const newSecretHint = 'secret'

/** Sent once at most: what it says is soon said better, or is asked for again. */
export const sentOnce: readonly string[] = ['task.progress', 'endpoint.test']

export interface NewDelivery {
  /** Deterministic where the same event must be told once. */
  readonly id: string
  /** Null: it is about none. */
  readonly sessionId: string | null
  readonly taskId: string | null
  readonly attempt: number | null
  /** Null or absent: the callback of an order. */
  readonly endpointId?: string | null
  /** Of the endpoint: it waits for those before it there. */
  readonly lane?: string | null
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

/** An id that is there already is left as it is. Every sender is told at commit. */
export async function insertDelivery(db: Db, delivery: NewDelivery): Promise<void> {
  await db
    .insertInto('deliveries')
    .values({
      id: delivery.id,
      session_id: delivery.sessionId,
      task_id: delivery.taskId,
      attempt: delivery.attempt,
      endpoint_id: delivery.endpointId ?? null,
      lane: delivery.lane ?? null,
      type: delivery.type,
      url: delivery.url,
      body: toText(delivery.body),
      next_try_at: delivery.nextTryAt,
      created_by: delivery.createdBy,
      created_at: delivery.now,
      queued_at: delivery.now,
      queued_by: writerOf(db),
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  await notifySenders(db)
}

async function notifySenders(db: Db): Promise<void> {
  await sql`select pg_notify(${deliveriesChannel}, '')`.execute(db)
}

/** Every node, at commit, looks what signs now. */
export async function tellOfSecret(db: Db): Promise<void> {
  await sql`select pg_notify(${deliveriesChannel}, ${newSecretHint})`.execute(db)
}

/** Between two tries to tell an endpoint of the progress of one task. */
const progressGap = sql`interval '2 seconds'`

/**
 * Makes room for a newer delivery of a lane: progress that was not sent yet is told by it, or is old
 * news. With `all`, progress that was sent goes, too, so that the log of a lane keeps one. When the
 * next one may be sent; null: at any time.
 */
export async function dropProgress(
  trx: Db,
  o: {
    readonly endpointId: string
    readonly lane: string
    readonly all: boolean
    readonly now: Date
  },
): Promise<Date | null> {
  const ofLane = sql`type = 'task.progress' and endpoint_id = ${o.endpointId} and lane = ${o.lane}`
  const { rows } = await sql<{ at: Date | null }>`
    select max(least(coalesce(tried_at + ${progressGap}, next_try_at), ${o.now}::timestamptz + ${progressGap})) as at
    from deliveries where ${ofLane}`.execute(trx)
  const settled = sql`delivered_at is not null or gave_up_at is not null`
  await sql`delete from deliveries where ${ofLane}
    and (${o.all ? sql`${settled} or` : sql``} (tries = 0 and ${isWaiting}))`.execute(trx)
  return rows[0]?.at ?? null
}

/** A delivery that was taken is due again after this: its sender is dead by then. */
export const claimMs = 60_000
const claimLength = sql`make_interval(secs => ${sql.lit(claimMs / 1000)})`

/** A delivery that was taken, and what it shares tries with. */
export interface ClaimedDelivery extends DeliveryRow {
  readonly receiver: Receiver
}

export interface Receiver {
  /** Scheme, host and port. */
  readonly origin: string
  /** Of it; empty: the callbacks that go there. */
  readonly endpoint: string
}

/**
 * Takes deliveries to try now, the longest due first, for whoever sends them until `until`; each is
 * taken by one sender, on whichever node. A delivery of a lane is taken once all before it in that
 * lane are settled, and with what is under way an endpoint has at most `perEndpoint`, as have the
 * callbacks of an origin, and an origin at most `perOrigin`.
 */
export function claimDeliveries(
  db: Db,
  o: {
    readonly now: Date
    readonly until: Date
    readonly limit: number
    readonly perEndpoint: number
    readonly perOrigin: number
    /** Where its tries under way go, one for each. */
    readonly underWay: readonly Receiver[]
    /** Who takes them. */
    readonly node: string
  },
): Promise<ClaimedDelivery[]> {
  const origins = o.underWay.map(({ origin }) => origin)
  const endpoints = o.underWay.map(({ endpoint }) => endpoint)
  const underWay = sql`select count(*) from unnest(${origins}::text[], ${endpoints}::text[])
    as try (origin, endpoint) where try.origin = receivers.origin`
  // Receivers are hopped over in the index of what waits, and of each the first few are read: thousands
  // may be due at a slow one. What another sender took meanwhile is locked, or no longer due when its
  // lock is gone: the outer conditions are looked at again then.
  const statement = sql<DeliveryRow & Receiver>`
    with recursive receivers as (
      (select ${receiver} from deliveries where ${isWaiting} order by 1, 2 limit 1)
      union all
      select next.* from receivers, lateral (
        select ${receiver} from deliveries
        where ${isWaiting}
          and (${originOf}, ${endpointOf}) > (receivers.origin, receivers.endpoint)
        order by 1, 2 limit 1) as next
    ), due as (
      select first.*, receivers.*, row_number() over
        (partition by receivers.origin order by first.next_try_at, first.position)
          + (${underWay}) as place
      from receivers, lateral (
        select id, next_try_at, position from deliveries as mine
        where ${isWaiting} and next_try_at <= ${o.now} and ${isFirst}
          and ${originOf} = receivers.origin and ${endpointOf} = receivers.endpoint
        order by next_try_at, position
        limit greatest(0, ${o.perEndpoint}::int
          - (${underWay} and try.endpoint = receivers.endpoint))) as first
    ), chosen as (
      select deliveries.id, due.origin, due.endpoint from deliveries
      join due on due.id = deliveries.id and due.place <= ${o.perOrigin}
      where ${isWaiting} and deliveries.next_try_at <= ${o.now}
      order by deliveries.next_try_at, deliveries.position
      limit ${o.limit}
      for update of deliveries skip locked
    )
    update deliveries
    set tries = tries + 1, next_try_at = ${o.until}, tried_at = ${o.now}, tried_by = ${o.node}
    from chosen where deliveries.id = chosen.id
    returning deliveries.*, chosen.origin, chosen.endpoint`
  return inTransaction(db, async (trx) => {
    // Until they are counted anew, thousands that were just written are none to the planner, which would
    // sort them at every hop: 100,000 took five seconds.
    await sql`select set_config(name, 'off', true)
      from (values ('enable_sort'), ('enable_incremental_sort')) as s (name)`.execute(trx)
    const { rows } = await statement.execute(trx)
    return rows.map(({ origin, endpoint, ...row }) => ({ ...row, receiver: { origin, endpoint } }))
  })
}

// As the index says them.
const originOf: RawBuilder<string> = sql`origin_of(url)`
const endpointOf: RawBuilder<string> = sql`coalesce(endpoint_id, '')`
const receiver: RawBuilder<Receiver> = sql`${originOf} as origin, ${endpointOf} as endpoint`

/**
 * The date of a node was set: what waits goes on waiting for as long as it would have, and its age is what it
 * was, as is the time that an endpoint has been failing. A date is moved by the node that wrote it and by no
 * other, however many share a host; what nobody has tried is due at once, whoever wrote it. Nothing is put off
 * beyond `waitMsMax`.
 */
export async function redateDeliveries(
  db: Db,
  o: {
    readonly node: string
    readonly stepMs: number
    /** By the date as it is now. */
    readonly now: Date
    readonly waitMsMax: number
  },
): Promise<void> {
  const { node, stepMs, now, waitMsMax } = o
  const seconds = (ms: number) => sql`make_interval(secs => ${ms / 1000}::float8)`
  const moved = (column: string) =>
    sql`least(${sql.ref(column)} + ${seconds(stepMs)}, ${now}::timestamptz)`
  // An endpoint is locked before its deliveries, and several in the order of their ids, as everywhere.
  await sql`
    with mine as materialized (
      select id from endpoints where failing_since is not null and failing_by = ${node} order by id for update)
    update endpoints set failing_since = ${moved('failing_since')}
    from mine where endpoints.id = mine.id`.execute(db)
  await sql`
    with mine as materialized (
      select id from deliveries
      where ${isWaiting} and (queued_by = ${node} or tried_by = ${node} or tries = 0)
      order by id for update)
    update deliveries set
      queued_at = case when queued_by = ${node} then ${moved('queued_at')} else queued_at end,
      tried_at = case when tried_by = ${node} then ${moved('tried_at')} else tried_at end,
      next_try_at = case
        when tries = 0 then least(next_try_at, ${now}::timestamptz + ${progressGap})
        when tried_by = ${node}
          then least(next_try_at + ${seconds(stepMs)}, ${now}::timestamptz + ${seconds(waitMsMax)})
        else next_try_at end
    from mine where deliveries.id = mine.id`.execute(db)
}

/** Neither arrived nor given up. */
const isWaiting: RawBuilder<boolean> = sql`delivered_at is null and gave_up_at is null`

/** Nothing before it in its lane waits. */
const isFirst: RawBuilder<boolean> = sql`(mine.lane is null or not exists (
  select 1 from deliveries as earlier
  where earlier.endpoint_id = mine.endpoint_id and earlier.lane = mine.lane
    and earlier.position < mine.position
    and earlier.delivered_at is null and earlier.gave_up_at is null))`

/** Of one that has arrived, only that stays. Undefined: it is gone, or has arrived before. */
export async function updateDelivery(
  db: Db,
  id: string,
  patch: DeliveryPatch,
): Promise<{ readonly id: string } | undefined> {
  let query = db
    .updateTable('deliveries')
    .set({
      id, // So that an empty patch is a statement too.
      ...(patch.tries === undefined ? {} : { tries: patch.tries }),
      ...(patch.nextTryAt === undefined ? {} : { next_try_at: patch.nextTryAt }),
      ...(patch.deliveredAt === undefined
        ? {}
        : { delivered_at: patch.deliveredAt, gave_up_at: null }),
      ...(patch.gaveUpAt === undefined ? {} : { gave_up_at: patch.gaveUpAt }),
      ...(patch.lastStatus === undefined ? {} : { last_status: patch.lastStatus }),
      ...(patch.lastError === undefined
        ? {}
        : { last_error: patch.lastError && toText(patch.lastError) }),
    })
    .where('id', '=', id)
  // Of two senders, one of which was thought dead, the one that was heard is right.
  if (patch.deliveredAt === undefined) query = query.where('delivered_at', 'is', null)
  const row = await query.returning(['id']).executeTakeFirst()
  if (patch.deliveredAt === undefined && patch.gaveUpAt === undefined) return row
  // Of a session that was deleted meanwhile nothing stays.
  await db
    .deleteFrom('deliveries')
    .where('id', '=', id)
    .where('session_id', 'is', null)
    .where('type', '!=', 'endpoint.test')
    .execute()
  return row
}

/** When the next try is due of those that wait for nothing else; null when none is. */
export async function nextDeliveryAt(db: Db): Promise<Date | null> {
  const { rows } = await sql<{ next_try_at: Date }>`
    select next_try_at from deliveries as mine
    where ${isWaiting} and next_try_at is not null and ${isFirst}
    order by next_try_at limit 1`.execute(db)
  return rows[0]?.next_try_at ?? null
}

/** Taken, at most so long ago, by a sender that has not said yet what came of it. */
const isUnderWay = (now: Date): RawBuilder<boolean> => sql`(${isWaiting} and tried_at is not null
  and next_try_at > ${now} and next_try_at <= ${now}::timestamptz + ${claimLength}
  and not exists (select from delivery_tries
    where delivery_id = deliveries.id and started_at >= deliveries.tried_at))`

/**
 * Sends it again: at once, with 24 hours of its own. One that was settled leaves its lane: what came
 * after it there has been sent. One whose try is under way is not sent a second time beside it.
 * Undefined: there is none.
 */
export async function requeueDelivery(
  db: Db,
  o: { readonly id: string; readonly url: string; readonly now: Date },
): Promise<DeliveryRow | undefined> {
  const { rows } = await sql<DeliveryRow>`
    update deliveries set url = ${o.url}, queued_at = ${o.now},
      next_try_at = case when ${isUnderWay(o.now)} then next_try_at else ${o.now} end,
      queued_by = ${writerOf(db)}, tries = case when ${isWaiting} then tries else 0 end,
      lane = case when ${isWaiting} then lane end,
      delivered_at = null, gave_up_at = null, last_status = null, last_error = null
    where id = ${o.id} returning *`.execute(db)
  // Its task may have ended, and its endpoint signs again.
  await tellOfSecret(db)
  return rows[0]
}
