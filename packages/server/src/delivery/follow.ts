import type { SessionEvent } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import type { LiveEvents } from '../events/live.ts'
import { readEvents } from '../events/read.ts'
import type { Store } from '../store/open.ts'
import { Deltas } from './deltas.ts'

/** Who reads a session's log, and from where. */
export interface Following {
  readonly store: Store
  readonly live: LiveEvents
  readonly clock: Clock
  readonly sessionId: string
  /** Events with a higher number are sent. */
  readonly after: number
  /** The session had ended when the reader came: what is stored is all. */
  readonly ended: boolean
  /** Types of events whose live deltas the reader asked for; they carry no number. */
  readonly deltas: ReadonlySet<string>
  readonly signal: AbortSignal
}

/**
 * What a reader is sent: an event, a delta of one that is being made, a sign of life, or the news
 * that the log cannot be read at present.
 */
export type Followed =
  | { readonly kind: 'event'; readonly event: SessionEvent }
  | { readonly kind: 'delta'; readonly event: NewEvent }
  | { readonly kind: 'ping' }
  | { readonly kind: 'broken' }

/** Events read with one statement. A slow reader costs this much memory, whatever it misses. */
const pageRows = 100
/** Milliseconds of silence after which a sign of life is due. */
const heartbeatMs = 15_000

/**
 * Replays a session's log from the store and goes on live, without a gap: the cursor is the only
 * truth, a hint only says when to look again. Ends after the last event of an ended session, and
 * when `signal` aborts. Nothing is held before the first `next()` and nothing after the end.
 */
export async function* follow(o: Following): AsyncGenerator<Followed> {
  const { store, live, clock, sessionId, signal } = o
  using hints = live.subscribe(sessionId)
  const deltas = new Deltas(o.deltas)
  let cursor = o.after
  let ended = o.ended
  let spoke = clock.now()
  while (!signal.aborted) {
    deltas.hold(hints.takeDeltas())
    const page = await readEvents(store.db, { sessionId, after: cursor, limit: pageRows })
    for (const event of page) {
      if (signal.aborted) return
      yield { kind: 'event', event }
      cursor = event.seq
      deltas.sent(event.id)
      ended ||= event.type === 'session.status_terminated'
    }
    if (page.length > 0) {
      spoke = clock.now()
      continue
    }
    if (ended) return
    for (const event of deltas.release()) yield { kind: 'delta', event }
    if (clock.now() - spoke >= heartbeatMs) {
      yield { kind: 'ping' }
      spoke = clock.now()
    }
    // Rejects when the signal aborts, which the loop sees by itself.
    await hints.wait(signal).catch(() => undefined)
  }
}
