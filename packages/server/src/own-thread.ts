import { type ResourceLimits, Worker } from 'node:worker_threads'
import type { Clock, Timer } from './clock.ts'
import type { Log } from './log.ts'

/** Why a thread ended before its answer: by its memory, its time, an error of its own, or its owner. */
type ThreadEnd = 'memory' | 'time' | 'failed' | 'closed'

/** A thread ended before it answered. */
export class ThreadEnded extends Error {
  readonly why: ThreadEnd
  constructor(name: string, why: ThreadEnd) {
    super(`The thread ${name} ended before its answer (${why}).`)
    this.why = why
  }
}

interface ThreadOptions {
  /** The module that runs in it, and answers every message with one. */
  readonly entry: URL
  readonly name: string
  readonly limits: ResourceLimits
  /** Milliseconds of one answer, with the start of the thread. */
  readonly answerMsMax: number
  /** Milliseconds without a question after which it is ended. */
  readonly idleMs: number
  readonly clock: Clock
  readonly log: Log
}

/**
 * A thread for what may be slow, or may need much memory, because others chose it. It has no variable
 * and no option of the server; it is started by the first question, is ended when an answer takes too
 * long, needs too much memory, fails or is given up, and after a while without any. The next question
 * starts another one. Whoever asks waits for the answer before asking again.
 */
export class OwnThread<Question, Answer> implements AsyncDisposable {
  readonly #o: ThreadOptions
  #worker: Worker | null = null
  #idle: Timer | null = null
  #giveUp: ((ended: ThreadEnded) => void) | null = null
  #isClosed = false

  constructor(o: ThreadOptions) {
    this.#o = o
  }

  /**
   * Rejects with ThreadEnded, or with the signal's reason. What of the question is in `transfer` is
   * handed over instead of copied, and is empty here afterwards.
   */
  async ask(
    question: Question,
    o: { readonly signal?: AbortSignal; readonly transfer?: readonly ArrayBuffer[] } = {},
  ): Promise<Answer> {
    o.signal?.throwIfAborted()
    if (this.#isClosed) throw this.#ended('closed')
    this.#idle?.cancel()
    const worker = this.#start()
    const answer = Promise.withResolvers<Answer>()
    const onAbort = (): void => answer.reject(o.signal?.reason)
    this.#giveUp = answer.reject
    worker.once('message', answer.resolve)
    o.signal?.addEventListener('abort', onAbort, { once: true })
    using _late = this.#o.clock.after(this.#o.answerMsMax, () => answer.reject(this.#ended('time')))
    try {
      worker.postMessage(question, [...(o.transfer ?? [])])
      const answered = await answer.promise
      this.#idle = this.#o.clock.after(this.#o.idleMs, () => void this.#end())
      return answered
    } catch (error) {
      await this.#end()
      throw error
    } finally {
      this.#giveUp = null
      worker.off('message', answer.resolve)
      o.signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends the thread; a question that is under way is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#giveUp?.(this.#ended('closed'))
    await this.#end()
  }

  #start(): Worker {
    if (this.#worker !== null) return this.#worker
    const { entry, name, limits, log } = this.#o
    const worker = new Worker(entry, {
      name,
      // Not the server's: its variables are secrets, its options are its own.
      env: {},
      execArgv: [],
      // What a module prints when it gives up; nobody reads it.
      stdout: true,
      stderr: true,
      resourceLimits: limits,
    })
    worker.stdout.resume()
    worker.stderr.resume()
    let why: ThreadEnd = 'failed'
    worker.on('error', (err: NodeJS.ErrnoException) => {
      if (err.code === 'ERR_WORKER_OUT_OF_MEMORY') why = 'memory'
      log.warn({ err }, `the thread ${name} gave up`)
    })
    worker.once('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = null
      this.#giveUp?.(this.#ended(why))
    })
    this.#worker = worker
    return worker
  }

  async #end(): Promise<void> {
    this.#idle?.cancel()
    const worker = this.#worker
    this.#worker = null
    await worker?.terminate()
  }

  #ended(why: ThreadEnd): ThreadEnded {
    return new ThreadEnded(this.#o.name, why)
  }
}
