import type { SessionEvent } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import type { LiveEvents } from '../events/live.ts'
import { readEvents } from '../events/read.ts'
import type { Store } from '../store/open.ts'
import { Deltas } from './deltas.ts'
import type { Turns } from './turns.ts'

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
  /** Whose turn it is to read, among followers that share a connection; held for one page. */
  readonly turns?: Turns
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
/**
 * Milliseconds after which a reader looks without a hint. Hints that got lost with a connection are
 * made up for when it is back, so this is for a connection whose end nobody noticed; there may be
 * thousands of readers that wait.
 */
const pollMs = 5000
/** Milliseconds of silence after which a sign of life is due. */
const heartbeatMs = 15_000

/**
 * Replays a session's log from the store and goes on live, without a gap: the cursor is the only
 * truth, a hint only says when to look again. Ends after the last event of an ended session, and
 * when `signal` aborts. Nothing is held before the first `next()` and nothing after the end.
 */
export async function* follow(o: Following): AsyncGenerator<Followed> {
  const { live, clock, sessionId, signal } = o
  using hints = live.subscribe(sessionId, { pollMs, deltas: o.deltas.size > 0 })
  const deltas = new Deltas(o.deltas)
  let cursor = o.after
  let ended = o.ended
  let spoke = clock.now()
  while (!signal.aborted) {
    deltas.hold(hints.takeDeltas())
    let isBehind = false
    for await (const event of nextPage(o, cursor)) {
      yield { kind: 'event', event }
      isBehind = true
      cursor = event.seq
      deltas.sent(event.id)
      // A follow-up reopens a session: the log goes on after an end.
      ended = event.type === 'session.status_terminated'
    }
    if (isBehind) {
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

/** The next events that are stored; while there are some left to take, it is this reader's turn. */
async function* nextPage(o: Following, after: number): AsyncGenerator<SessionEvent> {
  const { store, sessionId, signal } = o
  using _turn = await o.turns?.take()
  if (signal.aborted) return
  for (const event of await readEvents(store.db, { sessionId, after, limit: pageRows })) {
    if (signal.aborted) return
    yield event
  }
}
