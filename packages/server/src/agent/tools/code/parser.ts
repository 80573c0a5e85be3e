import type { Clock } from '../../../clock.ts'
import type { Log } from '../../../log.ts'
import { OwnThread, ThreadEnded } from '../../../own-thread.ts'
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
 * made slow, deep or hungry. The thread is given texts, never a path; it does one request after the
 * other, and is ended by one that takes too long, needs too much memory, fails, or is aborted.
 */
export class CodeParser implements AsyncDisposable {
  readonly #thread: OwnThread<Request, Answer>
  readonly #requestMsMax: number
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor({ clock, log, requestMsMax = parseMsMax }: ParserOptions) {
    this.#requestMsMax = requestMsMax
    this.#thread = new OwnThread({
      entry: new URL('./worker.ts', import.meta.url),
      name: 'code-parser',
      limits: { maxOldGenerationSizeMb: heapMegabytesMax, stackSizeMb: stackMegabytes },
      answerMsMax: requestMsMax,
      ...{ idleMs, clock, log },
    })
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
    await this.#thread[Symbol.asyncDispose]()
    await this.#last
  }

  async #ask(request: Request, signal: AbortSignal): Promise<CodeOutline | EditedCode> {
    if (this.#waiting === waitingMax)
      throw new ToolRefused(`More than ${waitingMax} requests wait for the parser; try again.`)
    this.#waiting += 1
    const turn = this.#last.then(() => this.#thread.ask(request, { signal }))
    this.#last = turn.catch(() => undefined)
    try {
      const answer = await turn
      if (answer.kind === 'refused') throw new ToolRefused(answer.reason)
      return answer.value
    } catch (error) {
      throw error instanceof ThreadEnded ? new ToolRefused(this.#reasonOf(error)) : error
    } finally {
      this.#waiting -= 1
    }
  }

  #reasonOf({ why }: ThreadEnded): string {
    if (why === 'closed') return 'The task is over.'
    if (why === 'time') return `To parse it takes longer than ${this.#requestMsMax / 1000} s.`
    return 'It cannot be parsed: it needs too much memory.'
  }
}
