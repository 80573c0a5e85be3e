import type { EndpointPatch, NewEndpoint, WebhookEvent } from '@longhaul/client/contract'
import { sql } from 'kysely'
import { tellOfSecret } from './deliveries.ts'
import { writerOf } from './scrubbing-dialect.ts'
import type { Db, EndpointRow, Trx } from './tables.ts'
import { toText } from './values.ts'

/** Endpoints of one key, at most, those of single tasks aside: each is written to at every step of its tasks. */
export const endpointsMax = 20
/** Endpoints of one task, at most. */
export const endpointsOfTaskMax = 5
/** Endpoints of single tasks whose secrets are known, at most: to learn one takes 70 µs. */
const ofTasksMax = 2000

/** Stores an endpoint; undefined: the key, or the task, which the caller holds, has as many as it may. */
export async function insertEndpoint(
  trx: Trx,
  o: NewEndpoint & {
    readonly id: string
    readonly secret: string
    readonly createdBy: string
    readonly now: Date
  },
): Promise<EndpointRow | undefined> {
  // Requests of one key come one after the other here, as do those for one task, whichever key sends
  // them, so that none is counted too late.
  if (o.task_id === null)
    await sql`select 1 from keys where id = ${o.createdBy} for update`.execute(trx)
  const beside = await trx
    .selectFrom('endpoints')
    .select('id')
    .where((eb) =>
      o.task_id === null
        ? eb.and([eb('created_by', '=', o.createdBy), eb('task_id', 'is', null)])
        : eb('task_id', '=', o.task_id),
    )
    .execute()
  if (beside.length >= (o.task_id === null ? endpointsMax : endpointsOfTaskMax)) return undefined
  await tellOfSecret(trx)
  return trx
    .insertInto('endpoints')
    .values({
      ...{ id: o.id, url: o.url, name: toText(o.name), payload: o.payload, secret: o.secret },
      events: o.events && [...o.events],
      ...{ task_id: o.task_id, created_by: o.createdBy, created_at: o.now, updated_at: o.now },
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export function getEndpoint(db: Db, id: string): Promise<EndpointRow | undefined> {
  return db.selectFrom('endpoints').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Newest first; `before` is the id of the last one of the page before. */
export function listEndpoints(
  db: Db,
  o: {
    /** Null: those of every key. */
    readonly keyId: string | null
    readonly taskId?: string | undefined
    readonly before?: string | undefined
    readonly limit: number
  },
): Promise<EndpointRow[]> {
  let query = db.selectFrom('endpoints').selectAll()
  if (o.taskId !== undefined) query = query.where('task_id', '=', o.taskId)
  if (o.keyId !== null) query = query.where('created_by', '=', o.keyId)
  if (o.before !== undefined) query = query.where('id', '<', o.before)
  return query.orderBy('id', 'desc').limit(o.limit).execute()
}

/**
 * The endpoints that are to be told of an event of a session or its task, which that key ordered. None of them is disabled or deleted
 * before the caller's transaction ends, so that what is written for it then is seen by whoever does.
 */
export function endpointsFor(
  trx: Db,
  o: { readonly sessionId: string; readonly keyId: string; readonly event: WebhookEvent },
): Promise<EndpointRow[]> {
  return (
    trx
      .selectFrom('endpoints')
      .selectAll()
      .where(
        sql<boolean>`(task_id is null and created_by = ${o.keyId}
          or task_id in (select id from tasks where session_id = ${o.sessionId}))`,
      )
      .where('disabled_at', 'is', null)
      .where(
        sql<boolean>`(${o.event} = any(events) or events is null and ${o.event} like 'task.%')`,
      )
      // A key that was revoked may have been a thief's: nothing more is told to its endpoints.
      .where(sql<boolean>`exists (
        select 1 from keys where keys.id = endpoints.created_by and keys.revoked_at is null)`)
      .orderBy('id')
      .forShare()
      .execute()
  )
}

/** Changes an endpoint; what waits for it goes to its new address. Undefined: there is none. */
export async function updateEndpoint(
  trx: Trx,
  o: { readonly id: string; readonly patch: Omit<EndpointPatch, 'disabled'>; readonly now: Date },
): Promise<EndpointRow | undefined> {
  const { url, name, events, payload } = o.patch
  const row = await trx
    .updateTable('endpoints')
    .set({
      updated_at: o.now,
      // Another receiver has failed at nothing yet.
      ...(url !== undefined && { url, failing_since: null, dead_letters: 0 }),
      ...(name !== undefined && { name: toText(name) }),
      ...(events !== undefined && { events: events && [...events] }),
      ...(payload !== undefined && { payload }),
    })
    .where('id', '=', o.id)
    .returningAll()
    .executeTakeFirst()
  if (row === undefined || url === undefined) return row
  await trx
    .updateTable('deliveries')
    .set({ url })
    .where('endpoint_id', '=', o.id)
    .where('delivered_at', 'is', null)
    .where('gave_up_at', 'is', null)
    .execute()
  return row
}

/** Gives it a new secret; the present one signs, too, until `until`. Undefined: there is none. */
export async function rotateSecret(
  trx: Trx,
  o: { readonly id: string; readonly secret: string; readonly until: Date; readonly now: Date },
): Promise<EndpointRow | undefined> {
  await tellOfSecret(trx)
  return trx
    .updateTable('endpoints')
    .set({
      previous_secret: sql`secret`,
      previous_secret_until: o.until,
      secret: o.secret,
      updated_at: o.now,
    })
    .where('id', '=', o.id)
    .returningAll()
    .executeTakeFirst()
}

/** A delivery has arrived: the endpoint is well. */
export async function noteArrival(trx: Trx, id: string): Promise<void> {
  await trx
    .updateTable('endpoints')
    .set({ failing_since: null, dead_letters: 0 })
    .where('id', '=', id)
    .where('failing_since', 'is not', null)
    .execute()
}

/**
 * A try has failed, and with `isDead` its delivery was given up: how the endpoint is then. Undefined:
 * there is nothing new, or no such endpoint.
 */
export function noteFailure(
  trx: Trx,
  o: { readonly id: string; readonly isDead: boolean; readonly now: Date },
): Promise<Pick<EndpointRow, 'failing_since' | 'dead_letters' | 'disabled_at'> | undefined> {
  const { id, isDead, now } = o
  let query = trx
    .updateTable('endpoints')
    .set({
      failing_since: sql`coalesce(failing_since, ${now})`,
      failing_by: sql`case when failing_since is null then ${writerOf(trx)} else failing_by end`,
      dead_letters: sql`dead_letters + ${isDead ? 1 : 0}`,
    })
    .where('id', '=', id)
  // So that most tries of one that fails lock nothing that its key's tasks read.
  if (!isDead) query = query.where('failing_since', 'is', null)
  return query.returning(['failing_since', 'dead_letters', 'disabled_at']).executeTakeFirst()
}

type DisabledReason = NonNullable<EndpointRow['disabled_reason']>

/** Endpoints that were disabled since nothing arrived there, oldest first, and how many they are. */
export async function givenUpEndpoints(
  db: Db,
  limit: number,
): Promise<{ readonly ids: readonly string[]; readonly count: number }> {
  const { rows } = await sql<{ id: string; count: number }>`
    select id, count(*) over () as count from endpoints where disabled_reason = 'failing'
    order by disabled_at limit ${limit}`.execute(db)
  return { ids: rows.map(({ id }) => id), count: rows[0]?.count ?? 0 }
}

/**
 * What signs for endpoints now, the secrets before a rotation included: of keys for good, of single tasks as
 * long as the task has not ended or a delivery waits. Of the latter `leftOut` are too many, those that were
 * changed first.
 */
export async function signingSecrets(
  db: Db,
  now: Date,
): Promise<{ readonly secrets: readonly string[]; readonly leftOut: number }> {
  const columns = ['secret', 'previous_secret', 'previous_secret_until'] as const
  const all = db.selectFrom('endpoints').select(columns)
  const ofKeys = await all.where('task_id', 'is', null).execute()
  const ofTasks = await all
    .select(sql<number>`count(*) over ()`.as('count'))
    .where('task_id', 'is not', null)
    .where(
      sql<boolean>`(task_id in (select id from tasks where status in ('pending', 'running'))
        or id in (select endpoint_id from deliveries
          where endpoint_id is not null and delivered_at is null and gave_up_at is null))`,
    )
    .orderBy('updated_at', 'desc')
    .limit(ofTasksMax)
    .execute()
  const secrets = [...ofKeys, ...ofTasks].flatMap((row) => {
    const { secret, previous_secret: previous, previous_secret_until: until } = row
    return previous !== null && until !== null && until > now ? [secret, previous] : [secret]
  })
  return { secrets, leftOut: Number(ofTasks[0]?.count ?? 0) - ofTasks.length }
}

/**
 * Tells an endpoint nothing more: what waits for it is given up, and may be sent again on request
 * once it is enabled. One that is disabled already stays as it is, except that a request is the last
 * word about one that failed.
 */
export async function disableEndpoint(
  trx: Trx,
  o: { readonly id: string; readonly reason: DisabledReason; readonly now: Date },
): Promise<void> {
  const { id, reason, now } = o
  if (reason === 'requested')
    await trx
      .updateTable('endpoints')
      .set({ disabled_reason: reason, updated_at: now })
      .where('id', '=', id)
      .where('disabled_reason', '=', 'failing')
      .execute()
  const disabled = await trx
    .updateTable('endpoints')
    .set({ disabled_at: now, disabled_reason: reason, updated_at: now })
    .where('id', '=', id)
    .where('disabled_at', 'is', null)
    .returning('id')
    .executeTakeFirst()
  if (disabled === undefined) return
  await trx
    .updateTable('deliveries')
    .set({ gave_up_at: now, next_try_at: null, last_error: 'the endpoint was disabled' })
    .where('endpoint_id', '=', id)
    .where('delivered_at', 'is', null)
    .where('gave_up_at', 'is', null)
    .execute()
}

export async function enableEndpoint(
  trx: Trx,
  o: { readonly id: string; readonly now: Date },
): Promise<void> {
  await trx
    .updateTable('endpoints')
    .set({ disabled_at: null, disabled_reason: null, updated_at: o.now })
    .set({ failing_since: null, dead_letters: 0 })
    .where('id', '=', o.id)
    .where('disabled_at', 'is not', null)
    .execute()
}

/** Whether there was one; everything that was to be delivered to it goes with it. */
export async function deleteEndpoint(db: Db, id: string): Promise<boolean> {
  const gone = await db
    .deleteFrom('endpoints')
    .where('id', '=', id)
    .returning('id')
    .executeTakeFirst()
  return gone !== undefined
}

/**
 * Deletes those of a task, in the order of their ids and each before its deliveries, as whoever ends a try
 * locks them; the cascade of the task would come to a delivery first.
 */
export async function deleteEndpointsOfTask(trx: Trx, taskId: string): Promise<void> {
  await sql`select 1 from endpoints where task_id = ${taskId} order by id for update`.execute(trx)
  await trx.deleteFrom('endpoints').where('task_id', '=', taskId).execute()
}
