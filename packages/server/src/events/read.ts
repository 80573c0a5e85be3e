import type { SessionEvent } from '@longhaul/client/contract'
import type { EventFilter } from '../store/event-filter.ts'
import { selectEvents } from '../store/events.ts'
import type { Db, EventRow } from '../store/tables.ts'

/**
 * Events of a session with numbers above `after`, in order, at most `limit`. An event that was
 * accepted and later processed is two rows with one id: `lastOfId` leaves out the first. `upTo`
 * reads the log as it was when that was its last number.
 */
export async function readEvents(
  db: Db,
  o: {
    readonly sessionId: string
    readonly after: number
    readonly limit: number
    readonly upTo?: number
    readonly lastOfId?: boolean
  } & EventFilter,
): Promise<SessionEvent[]> {
  return (await selectEvents(db, o)).map(toSessionEvent)
}

/** The wire form of a row. */
export function toSessionEvent(row: EventRow): SessionEvent {
  return {
    ...row.payload,
    id: row.id,
    type: row.type,
    seq: row.seq,
    session_id: row.session_id,
    thread_id: row.thread_id,
    ...(row.attempt === null ? {} : { attempt: row.attempt }),
    // What a user sent is a row when it is accepted, and one more when it is processed.
    processed_at: row.payload['processed_at'] === null ? null : row.created_at.toISOString(),
  }
}
