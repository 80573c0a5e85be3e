import type { Clock } from '../clock.ts'
import { signingWords } from '../known-secrets.ts'
import type { Log } from '../log.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import { signingSecrets } from '../store/endpoints.ts'
import type { Store } from '../store/open.ts'

/**
 * Words that sign no longer and are still taken out: more are forgotten together, for then the scrubber learns all
 * the others anew, which takes 150 ms for 2000 secrets.
 */
const pastMax = 500

interface SigningSecretsOptions {
  readonly store: Store
  readonly scrubber: Scrubber
  readonly clock: Clock
  readonly log: Log
}

/**
 * Keeps the scrubber in the know of what signs for endpoints, whichever node made it. Only once a
 * secret is stored: before that it would be taken out of its own row, and of the one answer that
 * shows it.
 */
export class SigningSecrets implements AsyncDisposable {
  readonly #o: SigningSecretsOptions
  #last: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null
  #known: ReadonlySet<string> = new Set()
  #leftOut = 0

  constructor(o: SigningSecretsOptions) {
    this.#o = o
  }

  /**
   * Resolves once all that is stored by now is known; whoever asks while it is read shares the next
   * reading. Never rejects: a store that does not answer is asked again by the next hint.
   */
  look(): Promise<void> {
    this.#next ??= this.#last.then(() => {
      this.#next = null
      this.#last = this.#read()
      return this.#last
    })
    return this.#next
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next
    await this.#last
  }

  async #read(): Promise<void> {
    const { store, scrubber, clock, log } = this.#o
    try {
      const { secrets, leftOut } = await signingSecrets(store.db, new Date(clock.now()))
      const now = new Set(secrets.flatMap(signingWords))
      const past = [...this.#known].filter((word) => !now.has(word))
      this.#known = past.length > pastMax ? now : new Set([...this.#known, ...now])
      scrubber.keep('endpoints', [...this.#known])
      if (leftOut > 0 && this.#leftOut === 0)
        log.warn({ leftOut }, 'secrets of endpoints of tasks are too many to be taken out of texts')
      this.#leftOut = leftOut
    } catch (error) {
      log.warn({ err: error }, 'the secrets of endpoints could not be read')
    }
  }
}
