import type { Delivery, DeliveryWithTries, Endpoint } from '@longhaul/client/contract'
import type { DeliveryRow, DeliveryTryRow, EndpointRow } from '../store/tables.ts'

/** An endpoint as `/v1` shows it: without its secret. */
export function presentEndpoint(row: EndpointRow): Endpoint {
  return {
    id: row.id,
    type: 'endpoint',
    url: row.url,
    name: row.name,
    events: row.events,
    payload: row.payload,
    task_id: row.task_id,
    disabled_at: row.disabled_at?.toISOString() ?? null,
    disabled_reason: row.disabled_reason,
    failing_since: row.failing_since?.toISOString() ?? null,
    previous_secret_expires_at: row.previous_secret_until?.toISOString() ?? null,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

/** The one time that a secret is shown. */
export function presentSecret(row: EndpointRow): Endpoint & { secret: string } {
  return { ...presentEndpoint(row), secret: row.secret }
}

export function presentDelivery(row: DeliveryRow): Delivery {
  const isSettled = row.delivered_at !== null || row.gave_up_at !== null
  return {
    id: row.id,
    type: 'delivery',
    endpoint_id: row.endpoint_id,
    task_id: row.task_id,
    event: row.type,
    url: row.url,
    status: !isSettled ? 'pending' : row.delivered_at === null ? 'dead' : 'delivered',
    tries: row.tries,
    next_try_at: isSettled ? null : (row.next_try_at?.toISOString() ?? null),
    delivered_at: row.delivered_at?.toISOString() ?? null,
    gave_up_at: row.gave_up_at?.toISOString() ?? null,
    last_status: row.last_status,
    last_error: row.last_error,
    created_at: row.created_at.toISOString(),
  }
}

export function presentTries(
  row: DeliveryRow,
  tries: readonly DeliveryTryRow[],
): DeliveryWithTries {
  return {
    ...presentDelivery(row),
    request_body: row.body,
    log: tries.map((each) => ({
      started_at: each.started_at.toISOString(),
      duration_ms: each.duration_ms,
      request_headers: { ...each.request_headers },
      status: each.status,
      response_headers: each.response_headers && { ...each.response_headers },
      response_body: each.response_body,
      error: each.error,
    })),
  }
}
