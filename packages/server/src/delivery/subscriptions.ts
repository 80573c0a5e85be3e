import type { SocketMessage } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { LiveEvents } from '../events/live.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/open.ts'
import { getSession } from '../store/sessions.ts'
import { type Followed, follow } from './follow.ts'
import type { Refusal } from './refusals.ts'
import { Turns } from './turns.ts'

export interface SubscriptionsOptions {
  readonly store: Store
  readonly live: LiveEvents
  readonly clock: Clock
  readonly log: Log
  /** Room for one more subscription in this server; null: there is none. */
  readonly admit: () => Disposable | null
  /** Sends one message; resolves when another may follow. Never rejects. */
  readonly send: (message: object) => Promise<void>
  readonly refuse: (why: Refusal, sessionId: string) => Promise<void>
}

/** Of one socket, at most: the sessions that a dashboard shows at once, and more. */
const subscriptionsMax = 50

/**
 * The sessions that one socket follows, each with a cursor of its own. They read in turns, a page at
 * a time, so a slow socket costs the memory of one page, however many sessions it follows.
 */
export class Subscriptions {
  readonly #o: SubscriptionsOptions
  readonly #turns = new Turns()
  readonly #open = new Map<
    string,
    { readonly stop: AbortController; readonly over: Promise<void> }
  >()
  #closed = false

  constructor(o: SubscriptionsOptions) {
    this.#o = o
  }

  async add(message: SocketMessage & { readonly type: 'subscribe' }): Promise<void> {
    const { session_id: sessionId } = message
    const { store, send, refuse, admit } = this.#o
    if (this.#open.has(sessionId)) return refuse('already_subscribed', sessionId)
    if (this.#open.size >= subscriptionsMax) return refuse('too_many_subscriptions', sessionId)
    const session = await getSession(store.db, sessionId)
    if (!session) return refuse('no_session', sessionId)
    const place = admit()
    if (!place) return refuse('server_full', sessionId)
    const after = message.after ?? session.last_seq
    await send({ type: 'subscribed', session_id: sessionId, after })
    const stop = new AbortController()
    if (this.#closed) stop.abort()
    const followed = follow({
      ...this.#o,
      ...{ sessionId, after, turns: this.#turns, signal: stop.signal },
      ended: session.status === 'terminated',
      deltas: new Set(message.event_deltas),
    })
    const over = this.#forward(sessionId, followed, stop.signal).finally(() =>
      place[Symbol.dispose](),
    )
    this.#open.set(sessionId, { stop, over })
  }

  /** Resolves when the last message of the subscription, which says so, was sent. */
  async end(sessionId: string): Promise<void> {
    const subscription = this.#open.get(sessionId)
    if (!subscription) return this.#o.refuse('not_subscribed', sessionId)
    subscription.stop.abort()
    await subscription.over
  }

  /** Ends all of them, and those that are being added: the socket closes. */
  close(): void {
    this.#closed = true
    for (const { stop } of this.#open.values()) stop.abort()
  }

  /** Sends what is followed until it ends, and says why it did. Never rejects. */
  async #forward(
    sessionId: string,
    followed: AsyncGenerator<Followed>,
    stopped: AbortSignal,
  ): Promise<void> {
    const { log, send, refuse } = this.#o
    let reason = 'ended'
    try {
      for await (const one of followed) {
        if (one.kind === 'event') await send(one.event)
        else if (one.kind === 'delta') await send({ ...one.event, session_id: sessionId })
      }
    } catch (error) {
      log.warn({ err: error, sessionId }, 'a subscription to events broke off')
      reason = 'failed'
      await refuse('unreadable', sessionId)
    }
    this.#open.delete(sessionId)
    if (stopped.aborted) reason = 'requested'
    await send({ type: 'unsubscribed', session_id: sessionId, reason })
  }
}
