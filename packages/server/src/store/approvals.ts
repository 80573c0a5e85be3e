import type {
  ApprovalAnswer,
  ApprovalKind,
  ApprovalRequest,
  ApprovalStatus,
  OnDeadline,
} from '@longhaul/client/contract'
import type { ApprovalRow, Db, Trx } from './tables.ts'
import { toJson } from './values.ts'

export interface NewApproval {
  readonly id: string
  readonly taskId: string
  readonly sessionId: string
  readonly kind: ApprovalKind
  readonly request: ApprovalRequest
  readonly toolUseId: string | null
  readonly onDeadline: OnDeadline
  readonly deadlineAt: Date
  readonly now: Date
}

/** Throws when another approval of the session is pending: a session waits for one at a time. */
export function insertApproval(trx: Trx, o: NewApproval): Promise<ApprovalRow> {
  return trx
    .insertInto('approvals')
    .values({
      id: o.id,
      task_id: o.taskId,
      session_id: o.sessionId,
      kind: o.kind,
      request: toJson(o.request),
      tool_use_id: o.toolUseId,
      on_deadline: o.onDeadline,
      deadline_at: o.deadlineAt,
      created_at: o.now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export function getApproval(db: Db, id: string): Promise<ApprovalRow | undefined> {
  return db.selectFrom('approvals').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Newest first, from the one that follows `before` on. */
export function listApprovals(
  db: Db,
  o: {
    readonly taskId?: string | undefined
    readonly status?: ApprovalStatus | undefined
    readonly before?: string | undefined
    readonly limit: number
  },
): Promise<ApprovalRow[]> {
  const { taskId, status, before } = o
  return db
    .selectFrom('approvals')
    .selectAll()
    .$if(taskId !== undefined, (query) => query.where('task_id', '=', taskId ?? ''))
    .$if(status !== undefined, (query) => query.where('status', '=', status ?? 'pending'))
    .$if(before !== undefined, (query) => query.where('id', '<', before ?? ''))
    .orderBy('id', 'desc')
    .limit(o.limit)
    .execute()
}

/** What was decided about the calls of a session's agent, oldest first; what waits is not decided. */
export function listDecided(db: Db, sessionId: string): Promise<ApprovalRow[]> {
  return db
    .selectFrom('approvals')
    .selectAll()
    .where('session_id', '=', sessionId)
    .where('status', 'in', ['answered', 'expired'])
    .orderBy('id')
    .execute()
}

/** Writes what became of a pending approval; undefined: it was decided before. */
export function decideApproval(
  trx: Trx,
  o: {
    readonly id: string
    readonly status: Exclude<ApprovalStatus, 'pending'>
    readonly answer: ApprovalAnswer | null
    readonly answeredBy: string | null
    readonly now: Date
  },
): Promise<ApprovalRow | undefined> {
  return trx
    .updateTable('approvals')
    .set({
      status: o.status,
      answer: o.answer === null ? null : toJson(o.answer),
      answered_by: o.answeredBy,
      answered_at: o.now,
    })
    .where('id', '=', o.id)
    .where('status', '=', 'pending')
    .returningAll()
    .executeTakeFirst()
}

/** Takes back what a session waits for; undefined: it waits for nobody. */
export function withdrawApproval(
  trx: Trx,
  o: { readonly sessionId: string; readonly now: Date },
): Promise<ApprovalRow | undefined> {
  return trx
    .updateTable('approvals')
    .set({ status: 'withdrawn', answered_at: o.now })
    .where('session_id', '=', o.sessionId)
    .where('status', '=', 'pending')
    .returningAll()
    .executeTakeFirst()
}

/** Ids of what is pending and past its deadline, the longest first. */
export async function overdueApprovals(
  db: Db,
  o: { readonly now: Date; readonly limit: number },
): Promise<string[]> {
  const rows = await db
    .selectFrom('approvals')
    .select('id')
    .where('status', '=', 'pending')
    .where('deadline_at', '<=', o.now)
    .orderBy('deadline_at')
    .limit(o.limit)
    .execute()
  return rows.map(({ id }) => id)
}
