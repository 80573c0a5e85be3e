import { Worker } from 'node:worker_threads'
import type { Clock } from '../../../clock.ts'
import type { Log } from '../../../log.ts'
import { ToolRefused } from '../tool.ts'
import { heapMegabytesMax, idleMs, parseMsMax, stackMegabytes, waitingMax } from './bounds.ts'
import type { CodeEdit } from './edit.ts'
import type { Language } from './language.ts'
import type { Answer, CodeOutline, EditedCode, Request } from './requests.ts'

interface ParserOptions {
  readonly clock: Clock
  readonly log: Log
  /** Milliseconds of one request. */
  readonly requestMsMax?: number
}

/**
 * Parses texts in a thread of its own: what a repository holds is untrusted, and a parser can be
 * made slow, deep or hungry. The thread is given texts, never a path, and no variable of the server;
 * it does one request after the other, and is ended when one takes too long, needs too much memory,
 * fails, or is aborted, and after a time without any. The next request starts another one.
 */
export class CodeParser implements AsyncDisposable {
  readonly #clock: Clock
  readonly #log: Log
  readonly #requestMsMax: number
  #worker: Worker | null = null
  #idle: Disposable | null = null
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #isClosed = false

  constructor({ clock, log, requestMsMax = parseMsMax }: ParserOptions) {
    this.#clock = clock
    this.#log = log
    this.#requestMsMax = requestMsMax
  }

  /** What a text declares. */
  async outline(language: Language, text: string, signal: AbortSignal): Promise<CodeOutline> {
    return this.#ask({ language: language.name, text }, signal)
  }

  /** A text with one edit, which parses as well as before. Throws `ToolRefused` where it does not. */
  async edit(
    language: Language,
    { text, edit }: { readonly text: string; readonly edit: CodeEdit },
    signal: AbortSignal,
  ): Promise<EditedCode> {
    const value = await this.#ask({ language: language.name, text, edit }, signal)
    if ('text' in value) return value
    throw new Error('the parser answered an outline for an edit')
  }

  /** Ends the thread; a request that is under way is refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#end()
    await this.#last
  }

  async #ask(request: Request, signal: AbortSignal): Promise<CodeOutline | EditedCode> {
    if (this.#waiting === waitingMax)
      throw new ToolRefused(`More than ${waitingMax} requests wait for the parser; try again.`)
    this.#waiting += 1
    const turn = this.#last.then(() => this.#answered(request, signal))
    this.#last = turn.catch(() => undefined)
    try {
      const answer = await turn
      if (answer.kind === 'refused') throw new ToolRefused(answer.reason)
      return answer.value
    } finally {
      this.#waiting -= 1
    }
  }

  /** One request in the thread, which is ended unless it answers. */
  async #answered(request: Request, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    if (this.#isClosed) return refused('The task is over.')
    this.#idle?.[Symbol.dispose]()
    const worker = this.#start()
    const ending = Promise.withResolvers<Answer>()
    const onExit = () => ending.resolve(refused('It cannot be parsed: it needs too much memory.'))
    const onAbort = () => ending.reject(signal.reason)
    worker.once('message', ending.resolve).once('exit', onExit)
    signal.addEventListener('abort', onAbort, { once: true })
    using _timer = this.#clock.after(this.#requestMsMax, () =>
      ending.resolve(refused(`To parse it takes longer than ${this.#requestMsMax / 1000} s.`)),
    )
    let isAnswered = false
    worker.once('message', () => {
      isAnswered = true
    })
    worker.postMessage(request)
    try {
      return await ending.promise
    } finally {
      worker.off('message', ending.resolve).off('exit', onExit)
      signal.removeEventListener('abort', onAbort)
      if (isAnswered) this.#idle = this.#clock.after(idleMs, () => void this.#end())
      else await this.#end()
    }
  }

  #start(): Worker {
    if (this.#worker !== null) return this.#worker
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: 'code-parser',
      // Not the server's: its variables are secrets, its options are its own.
      env: {},
      execArgv: [],
      // The parser's module prints when it gives up; nobody reads it.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax, stackSizeMb: stackMegabytes },
    })
    worker.stdout.resume()
    worker.stderr.resume()
    worker.on('error', (err) => this.#log.warn({ err }, 'the code parser gave up'))
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = null
    })
    this.#worker = worker
    return worker
  }

  async #end(): Promise<void> {
    this.#idle?.[Symbol.dispose]()
    const worker = this.#worker
    this.#worker = null
    await worker?.terminate()
  }
}

function refused(reason: string): Answer {
  return { kind: 'refused', reason }
}
