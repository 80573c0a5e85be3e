import type { FailedReason } from '@longhaul/client/contract'
import type { Parking } from '../tasks/park.ts'

/** What ended an attempt from outside its own work. */
export type Cause =
  /** The task is over: cancelled, out of time, out of budget. */
  | { readonly kind: 'failed'; readonly reason: FailedReason; readonly message?: string }
  /** The server stops: the work goes back to the queue and on from where it is. */
  | { readonly kind: 'drained' }
  /** It waits for somebody, or for a time: its process and its slot are given up. */
  | { readonly kind: 'parked'; readonly parking: Parking }
  /** The lease is another worker's: nothing more may be written. */
  | { readonly kind: 'lost' }

/**
 * The one place where an attempt is told to stop. The first cause wins; later ones change nothing.
 * Every wait of the attempt hangs on `signal`.
 */
export class Ending {
  readonly #controller = new AbortController()
  readonly #lost = new AbortController()
  #cause: Cause | null = null

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get cause(): Cause | null {
    return this.#cause
  }

  /** Aborted when the lease is lost, also after another cause: nothing more may be done at all. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  end(cause: Cause): void {
    if (cause.kind === 'lost') this.#lost.abort(new Error('the lease is lost'))
    if (this.#cause !== null) return
    this.#cause = cause
    this.#controller.abort(new Error(`the attempt was stopped: ${cause.kind}`))
  }
}
