import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { OwnThread, ThreadEnded } from '../own-thread.ts'
import { NoRoom } from './body.ts'
import { type BodyAnswer, type BodyQuestion, handedOver } from './body-messages.ts'
import { FairTurns } from './fair-turns.ts'
import { JsonTooLarge } from './json-count.ts'
import { type ModelRules, type ParsedBody, parseModelBody } from './model-body.ts'

/** A body within both bounds takes a few milliseconds; anything else is parsed in the thread. */
const inlineBytesMax = 256 * 1024
const inlineValuesMax = 5_000
/**
 * Of the thread's heap: twice what the largest body was measured to take (32 MiB of wide characters,
 * 100,000 values). Not less: a single string that is larger than what is left ends the whole process,
 * which was seen from 32 MB downward, instead of the thread.
 */
const heapMegabytes = 256
/** The largest body takes 1.5 s on a busy machine. */
const answerMsMax = 30_000
const idleMs = 60_000

/**
 * Parses the bodies of requests to the model: small ones between other work of the server, one a turn
 * of the event loop; large ones in a thread, because parsing and writing 32 MiB would stop the server
 * for a third of a second. One at a time of either kind, since each takes several times its memory;
 * sessions take turns, so that what one of them sends delays another by one body at most.
 */
export class ModelBodies implements AsyncDisposable {
  readonly #small = new FairTurns()
  readonly #large = new FairTurns()
  readonly #thread: OwnThread<BodyQuestion, BodyAnswer>

  constructor(o: { readonly clock: Clock; readonly log: Log; readonly heapMegabytes?: number }) {
    this.#thread = new OwnThread({
      entry: new URL('./model-body-thread.ts', import.meta.url),
      name: 'model-bodies',
      limits: { maxOldGenerationSizeMb: o.heapMegabytes ?? heapMegabytes },
      ...{ answerMsMax, idleMs, clock: o.clock, log: o.log },
    })
  }

  /**
   * `raw` is taken over, and `values` are counted in it. Throws JsonTooLarge where it takes more memory
   * than there is for it, NoRoom where the thread ended otherwise, and the signal's reason while it waits.
   */
  async parse(
    raw: Buffer,
    o: {
      readonly values: number
      readonly rules: ModelRules
      readonly owner: object
      readonly signal: AbortSignal
    },
  ): Promise<ParsedBody> {
    const { values, rules } = o
    if (raw.length > inlineBytesMax || values > inlineValuesMax)
      // What has begun goes on to its end: it takes less than another thread's start.
      return this.#large.run(o, () => this.#inThread(raw, rules))
    return this.#small.run(o, async () => {
      await setImmediate()
      return parseModelBody(raw, rules)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]()
  }

  async #inThread(raw: Buffer, rules: ModelRules): Promise<ParsedBody> {
    const { bytes, transfer } = handedOver(raw)
    try {
      const answer = await this.#thread.ask({ bytes, rules: rulesFor(rules) }, { transfer })
      if ('why' in answer) return answer
      const { buffer, byteOffset, byteLength } = answer.bytes
      return { body: { ...answer.body, bytes: Buffer.from(buffer, byteOffset, byteLength) } }
    } catch (error) {
      if (!(error instanceof ThreadEnded)) throw error
      if (error.why === 'memory') throw new JsonTooLarge('The request body takes too much memory.')
      throw new NoRoom('The request body could not be read; try again in a moment.')
    }
  }
}

/** Field by field: what rules come with has the key. */
function rulesFor({ models, fetches, prices }: ModelRules): BodyQuestion['rules'] {
  return {
    prices: prices.settings,
    ...(models !== undefined && { models }),
    ...(fetches !== undefined && { fetches }),
  }
}
