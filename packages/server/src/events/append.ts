import type { SessionEvent } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import { artifactBytesMax, putArtifact } from '../store/artifacts.ts'
import { insertEvents } from '../store/events.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import { scrubberOf } from '../store/scrubbing-dialect.ts'
import type { Db } from '../store/tables.ts'
import { inTransaction, toJson } from '../store/values.ts'
import { announceStatus } from './announce.ts'
import { toSessionEvent } from './read.ts'
import { shorten } from './shorten.ts'

export { LeaseLost }

/** An event to append; every other field is its payload. */
export interface NewEvent {
  /** `sevt_…`, for an event that was promised before it is stored. */
  readonly id?: string
  /** What happened: `agent.message`, `task.completed`. */
  readonly type: string
  readonly thread_id?: string | null
  readonly [field: string]: unknown
}

/** Bytes of an event's JSON that are stored with it; a larger one is an artifact besides. */
const eventBytesMax = 64 * 1024
/** Notified at commit with the session's id. */
export const eventsChannel = 'longhaul_events'

/**
 * Appends events to a session's log, in the caller's transaction or in one of its own. The numbers
 * are dense and in commit order. With `attempt` it is fenced: throws LeaseLost when another attempt
 * has the session, and nothing is written. An event beyond 64 KiB keeps the first 8 KiB of each long
 * text, is marked `truncated`, and names the `artifact` that holds it whole. Secrets are taken out
 * before that, so that none is cut in two.
 */
export async function appendEvents(
  db: Db,
  o: {
    readonly sessionId: string
    readonly attempt?: number
    readonly events: readonly NewEvent[]
    readonly clock: Clock
  },
): Promise<SessionEvent[]> {
  const { sessionId, clock, attempt = null } = o
  if (o.events.length === 0) return []
  const now = new Date(clock.now())
  const scrubber = scrubberOf(db)
  const events = (await scrubber?.valueInTurns(o.events)) ?? o.events
  const prepared = events.map((event) => prepare(event, clock))
  return inTransaction(db, async (trx) => {
    const rows = prepared.map(({ id, type, threadId, json }) => ({
      id,
      type,
      threadId,
      payload: json,
    }))
    const first = await insertEvents(trx, { sessionId, attempt, rows, now, channel: eventsChannel })
    for (const { artifact } of prepared)
      if (artifact)
        await putArtifact(trx, { ...artifact, sessionId, attempt, createdBy: null, now })
    await announceStatus(trx, { sessionId, events: prepared, clock })
    return prepared.map(({ id, type, threadId, payload }, at) =>
      toSessionEvent({
        id,
        type,
        payload,
        seq: first + at,
        session_id: sessionId,
        thread_id: threadId,
        attempt,
        created_at: now,
      }),
    )
  })
}

interface Prepared {
  readonly id: string
  readonly type: string
  readonly threadId: string | null
  readonly payload: Record<string, unknown>
  readonly json: string
  readonly artifact?: { name: string; contentType: string; data: Buffer }
}

function prepare(event: NewEvent, clock: Clock): Prepared {
  const { id = newId('sevt', clock), type, thread_id: threadId = null, ...payload } = event
  const json = toJson(payload)
  const head = { id, type, threadId }
  if (Buffer.byteLength(json) <= eventBytesMax) return { ...head, payload, json }
  const name = `event-${id}.json`
  const short = shorten(payload, { artifact: name, bytesMax: eventBytesMax })
  const whole = Buffer.from(toJson({ id, type, thread_id: threadId, ...payload }))
  const data = whole.subarray(0, artifactBytesMax)
  const artifact = { name, contentType: 'application/json', data }
  return { ...head, payload: short, json: toJson(short), artifact }
}
