import type { Usage } from '@longhaul/client/contract'
import type { Log } from '../log.ts'
import type { Lease } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import { addUsage } from '../store/sessions.ts'

/** Adds what each model request cost to the session, in order; at most one write under way. */
export class Spending {
  readonly #store: Store
  readonly #lease: Lease
  readonly #log: Log
  #last: Promise<void> = Promise.resolve()

  constructor({ store, lease, log }: { store: Store; lease: Lease; log: Log }) {
    this.#store = store
    this.#lease = lease
    this.#log = log
  }

  add({ usage, costUsd }: { readonly usage: Usage; readonly costUsd: number }): void {
    const { sessionId, attempt } = this.#lease
    this.#last = this.#last
      .then(async () => {
        await addUsage(this.#store.db, { sessionId, attempt, usage, costUsd })
      })
      .catch((error: unknown) => {
        this.#log.error({ err: error, sessionId, costUsd }, 'a request could not be accounted for')
      })
  }

  /** Resolves when everything that was added is in the store. */
  settled(): Promise<void> {
    return this.#last
  }
}
