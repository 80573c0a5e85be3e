import type { WebhookEvent, WebhookPayload } from '@longhaul/client/contract'
import type { Generated } from 'kysely'
import type { Json, Optional, OptionalJson } from './columns.ts'

export interface Endpoints {
  id: string
  url: string
  name: string
  /** Null: every event of a task. */
  events: Optional<WebhookEvent[]>
  payload: WebhookPayload
  /** `whsec_…`: it signs, so that it is stored as it is. */
  secret: string
  /** Of before the last rotation; it signs, too, until then. */
  previous_secret: Optional<string>
  previous_secret_until: Optional<Date>
  disabled_at: Optional<Date>
  /** `gone`: it answered 410; `failing`: nothing arrived for days. */
  disabled_reason: Optional<'gone' | 'requested' | 'failing'>
  /** The first try that failed since one arrived; null: the last one did. */
  failing_since: Optional<Date>
  /** The node that made it, by whose clock that is. */
  failing_by: Optional<string>
  /** Deliveries that were given up since then. */
  dead_letters: Generated<number>
  /** The one task that it is told of, whoever ordered it; null: those of its key. */
  task_id: Optional<string>
  /** The key whose tasks it is told of. */
  created_by: string
  created_at: Date
  updated_at: Date
}

export interface Deliveries {
  id: string
  /** In the order of writing. */
  position: Generated<number>
  /** Null: it was deleted, and this goes once it is settled; or it is about no session. */
  session_id: Optional<string>
  task_id: Optional<string>
  attempt: Optional<number>
  /** Null: the callback of an order. */
  endpoint_id: Optional<string>
  /** Waits until those before it in the same lane of its endpoint are settled; null: for none. */
  lane: Optional<string>
  type: string
  url: string
  /** Sent as it is: the signature covers these bytes. */
  body: string
  tries: Generated<number>
  next_try_at: Optional<Date>
  /** When the last try began. */
  tried_at: Optional<Date>
  /** The node that began it; that date and the next are by its clock. */
  tried_by: Optional<string>
  delivered_at: Optional<Date>
  gave_up_at: Optional<Date>
  last_status: Optional<number>
  last_error: Optional<string>
  created_by: Optional<string>
  created_at: Date
  /** When it was written, or sent again on request: its 24 hours begin here. */
  queued_at: Date
  /** The node by whose clock that is. */
  queued_by: Optional<string>
}

type Headers = Readonly<Record<string, string>>

export interface DeliveryTries {
  position: Generated<number>
  delivery_id: string
  started_at: Date
  duration_ms: number
  request_headers: Json<Headers>
  /** Null: there was no answer. */
  status: Optional<number>
  response_headers: OptionalJson<Headers>
  response_body: Optional<string>
  error: Optional<string>
}
