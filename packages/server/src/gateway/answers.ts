import { setImmediate } from 'node:timers/promises'

/** `gh`, a client of a tool's server and a few downloads at once; each has chunks in memory. */
const sessionAnswersMax = 16

/** As many answers as a session may have are under way; the same request may pass when one has ended. */
export class TooManyAnswers extends Error {
  constructor() {
    super(
      `${sessionAnswersMax} answers that are searched for secrets are under way; try again when one has ended.`,
    )
  }
}

/**
 * What the gateways of this process do with answers that others write, and a text may be written such
 * that a kilobyte takes a quarter of a millisecond. One step of one of them is made in each round of
 * the event loop, by sessions in their turn, however many are under way: all else comes in between. Were
 * each to wait for the next round by itself, all of their steps would fall into that one.
 */
export class Answers {
  /** The steps that wait, by their sessions: whose turn is next comes first. */
  readonly #waiting = new Map<SessionAnswers, (() => void)[]>()
  #isRunning = false

  /** Those of one more session. */
  ofSession(): SessionAnswers {
    return new SessionAnswers(this)
  }

  /** Runs `step` when it is its turn; whoever waits asks for no other one meanwhile. */
  inTurn<T>(session: SessionAnswers, step: () => T): Promise<T> {
    const turn = Promise.withResolvers<T>()
    const steps = this.#waiting.get(session) ?? []
    this.#waiting.set(session, steps)
    steps.push(() => {
      try {
        turn.resolve(step())
      } catch (error) {
        turn.reject(error)
      }
    })
    if (!this.#isRunning) void this.#run()
    return turn.promise
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (let step = this.#next(); step !== undefined; step = this.#next()) {
      step()
      await setImmediate()
    }
    this.#isRunning = false
  }

  #next(): (() => void) | undefined {
    const [first] = this.#waiting
    if (first === undefined) return undefined
    const [session, steps] = first
    const step = steps.shift()
    this.#waiting.delete(session)
    if (steps.length > 0) this.#waiting.set(session, steps)
    return step
  }
}

/** The answers that the gateway of one session has under way. */
export class SessionAnswers {
  readonly #all: Answers
  #underWay = 0

  constructor(all: Answers) {
    this.#all = all
  }

  /** One more, until it is disposed of; throws TooManyAnswers. */
  begin(): Disposable {
    if (this.#underWay >= sessionAnswersMax) throw new TooManyAnswers()
    this.#underWay += 1
    return {
      [Symbol.dispose]: () => {
        this.#underWay -= 1
      },
    }
  }

  /** Runs a step of one when it is its turn. */
  readonly inTurn = <T>(step: () => T): Promise<T> => this.#all.inTurn(this, step)
}
