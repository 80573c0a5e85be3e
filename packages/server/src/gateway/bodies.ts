import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { NoRoom, readBody } from './body.ts'
import { ModelBodies } from './model-bodies.ts'
import type { ModelRules, ParsedBody } from './model-body.ts'

/** Of all sessions together; one of them may have an eighth. */
const processBytesMax = 512 * 1024 * 1024
/** Twice the largest body, or sixteen prompts of a million tokens. */
const sessionBytesMax = 64 * 1024 * 1024
/** An agent, eight sub-agents, and a few requests of their own beside each. */
const sessionModelRequestsMax = 32
/** What a piece of a body takes beside its bytes: a body may come byte by byte. */
const chunkBytes = 512
/** A body comes from the same machine; one that does not end gives its room back. */
const bodyMs = 60_000

/**
 * The request bodies that the gateways of this process hold: their memory is the server's, which no
 * limit of a sandbox bounds. Disposing ends the thread that parses large ones.
 */
export class Bodies implements AsyncDisposable {
  readonly #bytesMax: number
  readonly #metrics: Metrics
  readonly #forModel: ModelBodies
  readonly clock: Clock
  #bytes = 0

  constructor(o: {
    readonly metrics: Metrics
    readonly clock: Clock
    readonly log: Log
    readonly bytesMax?: number
    /** Of the thread that parses. */
    readonly heapMegabytes?: number
  }) {
    this.#metrics = o.metrics
    this.#forModel = new ModelBodies(o)
    this.clock = o.clock
    this.#bytesMax = o.bytesMax ?? processBytesMax
  }

  /** Those of one more session. */
  ofSession(): SessionBodies {
    return new SessionBodies(this)
  }

  /** As ModelBodies does. */
  parse(...[raw, o]: Parameters<ModelBodies['parse']>): Promise<ParsedBody> {
    return this.#forModel.parse(raw, o)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forModel[Symbol.asyncDispose]()
  }

  /** Throws NoRoom beyond the bound. */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax)
      throw new NoRoom('The server holds as many request bodies as it may; try again in a moment.')
    this.#count(bytes)
  }

  give(bytes: number): void {
    this.#count(-bytes)
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    this.#metrics.bodyBytes.set(this.#bytes)
  }
}

/** The request bodies that the gateway of one session holds. */
export class SessionBodies {
  readonly #all: Bodies
  #bytes = 0
  #modelRequests = 0

  constructor(all: Bodies) {
    this.#all = all
  }

  /** The session's turn among all others that have bodies to be parsed; see ModelBodies. */
  parse(
    raw: Buffer,
    o: { readonly values: number; readonly rules: ModelRules; readonly signal: AbortSignal },
  ): Promise<ParsedBody> {
    return this.#all.parse(raw, { ...o, owner: this })
  }

  /** The body of one request; disposing gives back what it took. */
  hold(): HeldBody {
    let held = 0
    const take = (chunk: Buffer): void => {
      const bytes = chunk.length + chunkBytes
      if (this.#bytes + bytes > sessionBytesMax) throw new NoRoom(sessionFull)
      this.#all.take(bytes)
      this.#bytes += bytes
      held += bytes
    }
    return {
      read: async (request, bytesMax, watch = () => {}) => {
        using late = this.#all.clock.after(bodyMs, () => request.destroy())
        void late
        return await readBody(request, bytesMax, (chunk) => {
          watch(chunk)
          take(chunk)
        })
      },
      [Symbol.dispose]: () => {
        this.#all.give(held)
        this.#bytes -= held
        held = 0
      },
    }
  }

  /** The same for a request to the model; throws NoRoom when as many are under way as may be. */
  holdForModel(): HeldBody {
    if (this.#modelRequests >= sessionModelRequestsMax) throw new NoRoom(modelFull)
    this.#modelRequests += 1
    const body = this.hold()
    return {
      read: body.read,
      [Symbol.dispose]: () => {
        this.#modelRequests -= 1
        body[Symbol.dispose]()
      },
    }
  }
}

/** The room that the body of one request takes, until it is disposed of. */
export interface HeldBody extends Disposable {
  /** As readBody does; throws NoRoom, too, and breaks a request whose body takes too long. */
  readonly read: (
    request: IncomingMessage,
    bytesMax: number,
    watch?: (chunk: Buffer) => void,
  ) => Promise<Buffer>
}

const sessionFull = `The requests under way have more than ${sessionBytesMax / 1024 / 1024} MiB of bodies together; try again when one has ended.`
const modelFull = `More than ${sessionModelRequestsMax} requests to the model are under way; try again when one has ended.`
