import type { Usage } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/open.ts'
import { throughOutage } from '../store/outage.ts'
import { addUsage } from '../store/sessions.ts'

/**
 * While the database is away, what was spent is tried to be stored for this long. The end of the
 * attempt waits for it, and so does the next attempt in this process; a stop of the server does not.
 */
export const bookMsMax = 10 * 60_000

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

/**
 * Adds what each model request cost to the session, in order; at most one write under way. As many
 * wait as model requests were under way when the database went: no further one leaves before.
 */
export class Spending implements AsyncDisposable {
  readonly #deps: Deps
  readonly #sessionId: string
  #last: Promise<void> = Promise.resolve()
  #isIncomplete = false

  constructor(o: Deps & { readonly sessionId: string }) {
    this.#deps = o
    this.#sessionId = o.sessionId
  }

  /** Resolves when it is stored, or never will be; never rejects. */
  add({ usage, costUsd }: { readonly usage: Usage; readonly costUsd: number }): Promise<void> {
    const { clock } = this.#deps
    const deadline = clock.elapsed() + bookMsMax
    const spent = { id: newId('req', clock), sessionId: this.#sessionId, usage, costUsd }
    this.#last = this.#last.then(() => this.#store(spent, deadline - clock.elapsed()))
    return this.#last
  }

  /**
   * Resolves when everything that was added is in the store. Rejects when something never will be:
   * nothing more may be spent on an account that does not know of it.
   */
  async stored(): Promise<void> {
    await this.#last
    if (this.#isIncomplete) throw new Error('what was spent could not be accounted for')
  }

  /** Resolves when everything that was added is in the store, or never will be. */
  settled(): Promise<void> {
    return this.#last
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.settled()
  }

  async #store(spent: Parameters<typeof addUsage>[1], ms: number): Promise<void> {
    const { store, clock, log } = this.#deps
    try {
      await throughOutage({ clock, ms }, () => addUsage(store.db, spent))
    } catch (error) {
      this.#isIncomplete = true
      log.error({ err: error, ...spent }, 'a request could not be accounted for')
    }
  }
}
