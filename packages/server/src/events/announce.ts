import type { SessionWebhook, SessionWebhookBody } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { derivedId } from '../ids.ts'
import { dropProgress, insertDelivery } from '../store/deliveries.ts'
import { endpointsFor } from '../store/endpoints.ts'
import { getSession } from '../store/sessions.ts'
import type { Trx } from '../store/tables.ts'

/** What webhooks call an event: they have names of their own in the Managed Agents API. */
const names: Readonly<Record<string, SessionWebhook>> = {
  'session.status_running': 'session.status_run_started',
  'session.status_idle': 'session.status_idled',
  'session.status_rescheduled': 'session.status_rescheduled',
  'session.status_terminated': 'session.status_terminated',
}

/** One installation is one organization with one workspace. */
const owner = { organization_id: 'longhaul', workspace_id: 'default' } as const

/**
 * Writes what endpoints of a session's key are to be told of its new events, in the transaction that
 * appends them and holds the session's lock.
 */
export async function announceStatus(
  trx: Trx,
  o: {
    readonly sessionId: string
    readonly events: readonly { readonly id: string; readonly type: string }[]
    readonly clock: Clock
  },
): Promise<void> {
  const { sessionId, clock } = o
  const named = o.events.flatMap(({ id, type }) => {
    const event = names[type]
    return event === undefined ? [] : [{ id, event }]
  })
  if (named.length === 0) return
  const keyId = (await getSession(trx, sessionId))?.created_by
  if (keyId === undefined || keyId === null) return
  const now = new Date(clock.now())
  for (const { id, event } of named)
    for (const endpoint of await endpointsFor(trx, { sessionId, keyId, event })) {
      const lane = { endpointId: endpoint.id, lane: sessionId }
      await dropProgress(trx, { ...lane, all: false, now })
      const created_at = now.toISOString()
      const data = { type: event, id: sessionId, ...owner }
      const body: SessionWebhookBody = { type: 'event', id, created_at, data }
      await insertDelivery(trx, {
        ...lane,
        id: derivedId('dlv', endpoint.id, id),
        ...{ sessionId, taskId: null, attempt: null, type: event, url: endpoint.url },
        body: JSON.stringify(body),
        ...{ nextTryAt: now, createdBy: endpoint.created_by, now },
      })
    }
}
