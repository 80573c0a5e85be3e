import type {
  Priority,
  Reason,
  TaskError,
  TaskOrder,
  TaskResult,
  TaskStatus,
  TaskType,
} from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Db, JsonObject, TaskRow } from './tables.ts'
import { toJson, toText } from './values.ts'

export interface NewTask {
  readonly id: string
  readonly sessionId: string
  readonly type: TaskType
  readonly priority: Priority
  readonly status: TaskStatus
  readonly reason: Reason
  readonly order: TaskOrder
  readonly retryOf?: string | null
  readonly createdBy: string | null
  readonly now: Date
}

/** What may change in a task's life; a field that is absent stays. */
export interface TaskPatch {
  readonly status?: TaskStatus
  readonly reason?: Reason
  readonly message?: string | null
  readonly progress?: JsonObject
  readonly result?: TaskResult | null
  readonly error?: TaskError | null
  readonly cancelRequestedAt?: Date | null
  readonly startedAt?: Date | null
  readonly completedAt?: Date | null
  readonly reopened?: number
  readonly parkedAt?: Date | null
  readonly parkedMs?: number
  readonly wakeAt?: Date | null
  readonly wakeIsDate?: boolean
}

export function insertTask(db: Db, task: NewTask): Promise<TaskRow> {
  return db
    .insertInto('tasks')
    .values({
      id: task.id,
      session_id: task.sessionId,
      type: task.type,
      priority: task.priority,
      status: task.status,
      reason: task.reason,
      order: toJson(task.order),
      retry_of: task.retryOf ?? null,
      created_by: task.createdBy,
      created_at: task.now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export function getTask(db: Db, id: string): Promise<TaskRow | undefined> {
  return db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst()
}

export function getTaskBySession(db: Db, sessionId: string): Promise<TaskRow | undefined> {
  return db.selectFrom('tasks').selectAll().where('session_id', '=', sessionId).executeTakeFirst()
}

/** The task, which nobody else changes until the caller's transaction ends. */
export function lockTask(db: Db, id: string): Promise<TaskRow | undefined> {
  return db.selectFrom('tasks').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
}

/** The same for whoever writes rows that reference it. */
export function holdTask(db: Db, id: string): Promise<TaskRow | undefined> {
  return db.selectFrom('tasks').selectAll().where('id', '=', id).forNoKeyUpdate().executeTakeFirst()
}

/** Throws when there is no such task. */
export function updateTask(db: Db, id: string, patch: TaskPatch): Promise<TaskRow> {
  const json = (value: unknown) => (value === null ? null : toJson(value))
  return db
    .updateTable('tasks')
    .set({
      id, // So that an empty patch is a statement too.
      ...(patch.status === undefined ? {} : { status: patch.status }),
      ...(patch.reason === undefined ? {} : { reason: patch.reason }),
      ...(patch.message === undefined ? {} : { message: patch.message && toText(patch.message) }),
      ...(patch.progress === undefined ? {} : { progress: toJson(patch.progress) }),
      ...(patch.result === undefined ? {} : { result: json(patch.result) }),
      ...(patch.error === undefined ? {} : { error: json(patch.error) }),
      ...(patch.cancelRequestedAt === undefined
        ? {}
        : { cancel_requested_at: patch.cancelRequestedAt }),
      ...(patch.startedAt === undefined ? {} : { started_at: patch.startedAt }),
      ...(patch.completedAt === undefined ? {} : { completed_at: patch.completedAt }),
      ...(patch.reopened === undefined ? {} : { reopened: patch.reopened }),
      ...(patch.parkedAt === undefined ? {} : { parked_at: patch.parkedAt }),
      ...(patch.parkedMs === undefined ? {} : { parked_ms: patch.parkedMs }),
      ...(patch.wakeAt === undefined ? {} : { wake_at: patch.wakeAt }),
      ...(patch.wakeIsDate === undefined ? {} : { wake_is_date: patch.wakeIsDate }),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Delayed tasks that are to start by `now` (milliseconds), the earliest first. */
export function listDueTasks(
  db: Db,
  now: number,
  limit: number,
): Promise<Pick<TaskRow, 'id' | 'session_id'>[]> {
  const startAt = sql<number>`("order" ->> 'startAt')::bigint`
  return db
    .selectFrom('tasks')
    .select(['id', 'session_id'])
    .where('reason', '=', 'delayed')
    .where(startAt, '<=', now)
    .orderBy(startAt)
    .limit(limit)
    .execute()
}

/** Tasks of a key that wait for the day's budget to be there again look at once whether it is. */
export async function wakeForBudget(
  db: Db,
  { keyId, now }: { readonly keyId: string; readonly now: Date },
): Promise<void> {
  await db
    .updateTable('tasks')
    .set({ wake_at: now })
    .where('created_by', '=', keyId)
    .where('reason', '=', 'waiting_budget')
    .where('wake_at', '>', now)
    .execute()
}

/**
 * The date of a node was set: tasks that it parked for a quota wait for as long as they would have, but for
 * those that wait for a moment which the provider named.
 */
export async function redateQuotaWaits(
  db: Db,
  { node, stepMs }: { readonly node: string; readonly stepMs: number },
): Promise<void> {
  await sql`
    update tasks set wake_at = wake_at + make_interval(secs => ${stepMs / 1000}::float8)
    from sessions
    where sessions.id = tasks.session_id and sessions.node = ${node}
      and tasks.reason = 'waiting_quota' and tasks.wake_at is not null
      and not tasks.wake_is_date`.execute(db)
}

/** Parked tasks that are to go on by now, the earliest first. */
export function listWakeable(
  db: Db,
  o: { readonly now: Date; readonly limit: number },
): Promise<Pick<TaskRow, 'id'>[]> {
  return db
    .selectFrom('tasks')
    .select('id')
    .where('wake_at', '<=', o.now)
    .orderBy('wake_at')
    .limit(o.limit)
    .execute()
}
