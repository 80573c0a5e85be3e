import type { Approval, SessionEvent } from '@longhaul/client/contract'
import type { Callers } from './callers.ts'
import type { Ordered } from './orders.ts'

/** Enough for everything that a task of the suite can spend. */
const raisedUsd = 1000

/**
 * Does what the human of a task does, again and again until the task has ended; answering twice is
 * answering once.
 */
export async function attend(callers: Callers, { id, sessionId, kind }: Ordered): Promise<void> {
  if (kind.human === 'cancel') {
    const { data } = await callers.get<{ data: SessionEvent[] }>(
      `/v1/sessions/${sessionId}/events?limit=100`,
    )
    if (data.some(({ type }) => type === 'agent.tool_use'))
      await callers.post(`/v1/tasks/${id}/cancel`, {})
    return
  }
  if (kind.human === undefined) return
  const { data } = await callers.get<{ data: Approval[] }>(
    `/v1/tasks/${id}/approvals?status=pending`,
  )
  const decision =
    kind.human === 'allow' ? { decision: 'allow' } : { decision: 'raise', limit_usd: raisedUsd }
  for (const { id: approval } of data)
    await callers.post(`/v1/tasks/${id}/approvals/${approval}`, decision)
}
