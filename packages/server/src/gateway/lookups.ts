import type { Clock } from '../clock.ts'
import { addressesMax, type Lookup, lookupAll } from './resolve.ts'

/** Different hosts; who asks for one that is looked up already waits with it. */
const sessionLookupsMax = 4
/** As long as a package manager takes for its next request; what it says is judged anew each time. */
const keptMs = 5_000
/** Names that are kept, each with 64 addresses at most. */
const keptMax = 1_000

/** The session has as many names looked up as it may; the same request may pass in a moment. */
export class TooManyLookups extends Error {
  constructor() {
    super(`${sessionLookupsMax} other names are being looked up; try again in a moment.`)
  }
}

type Found = Awaited<ReturnType<Lookup>>

interface Entry {
  readonly found: Promise<Found>
  /** By the clock's elapsed milliseconds; null: it is under way. */
  until: number | null
}

/**
 * What the gateways of this process have the system's resolver look up, which has few threads, takes as
 * long as a name server may, and cannot be stopped when its client has left. So one look-up of a host
 * is under way, for all who ask, and what it said is kept for a moment; a name without an address, too.
 */
export class Lookups {
  readonly #clock: Clock
  readonly #lookup: Lookup
  readonly #entries = new Map<string, Entry>()

  constructor(o: { readonly clock: Clock; readonly lookup?: Lookup }) {
    this.#clock = o.clock
    this.#lookup = o.lookup ?? lookupAll
  }

  /** Those of one more session; it rejects with TooManyLookups, too. */
  ofSession(): Lookup {
    let underWay = 0
    return async (host) => {
      const known = this.#known(host)
      if (known !== undefined) return known
      if (underWay >= sessionLookupsMax) throw new TooManyLookups()
      underWay += 1
      try {
        return await this.#begin(host)
      } finally {
        underWay -= 1
      }
    }
  }

  #known(host: string): Promise<Found> | undefined {
    const { found, until = 0 } = this.#entries.get(host) ?? {}
    return until === null || until > this.#clock.elapsed() ? found : undefined
  }

  async #begin(host: string): Promise<Found> {
    const lookup = async (): Promise<Found> => {
      try {
        return (await this.#lookup(host)).slice(0, addressesMax)
      } finally {
        entry.until = this.#clock.elapsed() + keptMs
      }
    }
    const { promise, resolve } = Promise.withResolvers<Found>()
    const entry: Entry = { found: promise, until: null }
    this.#entries.delete(host)
    this.#forget()
    this.#entries.set(host, entry)
    resolve(lookup())
    return promise
  }

  /** The oldest go first; those under way are as few as sessions have. */
  #forget(): void {
    for (const [host, { until }] of this.#entries) {
      if (this.#entries.size < keptMax) return
      if (until !== null) this.#entries.delete(host)
    }
  }
}
