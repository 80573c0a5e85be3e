import type { Approval } from '@longhaul/client/contract'
import type { ApprovalRow } from '../store/tables.ts'

/** An approval as `/v1` shows it. */
export function presentApproval(row: ApprovalRow): Approval {
  return {
    id: row.id,
    task_id: row.task_id,
    session_id: row.session_id,
    kind: row.kind,
    status: row.status,
    request: row.request,
    answer: row.answer,
    on_deadline: row.on_deadline,
    deadline_at: row.deadline_at.toISOString(),
    created_at: row.created_at.toISOString(),
    answered_at: row.answered_at?.toISOString() ?? null,
    answered_by: row.answered_by,
  }
}
