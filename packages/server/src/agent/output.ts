import { randomUUID } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'
import { fieldsOf } from './fields.ts'

/** What may be on its way from the pipe to who hears it, but for one message that is longer. */
const windowBytes = 1024 * 1024
/** The model takes requests of 32 MB at most, so no honest message comes near it. */
const messageBytesMax = 32 * 1024 * 1024
const newline = 0x0a

/**
 * What the process prints, on its way to the SDK. The SDK reads without a pause and keeps all that
 * nobody has taken yet, and everything in the sandbox can write to this pipe. So each window ends
 * with a mark of ours, a message like the others, and nothing more is let in until it has come out
 * of the SDK behind them. Meanwhile the pipe is full, and whoever writes to it waits.
 */
export class AgentOutput extends Transform {
  /** Nobody in the sandbox knows it, so nobody there can forge a mark. */
  readonly #subtype = `longhaul-${randomUUID()}`
  readonly #onTooLong: () => void
  #windowBytes = 0
  /** Of the line that has not ended yet. */
  #lineBytes = 0
  #isRefused = false
  #go: (() => void) | null = null

  /** `onTooLong`: called once, when a message exceeds 32 MiB; what follows is thrown away. */
  constructor(o: { readonly onTooLong: () => void }) {
    super()
    this.#onTooLong = o.onTooLong
  }

  isMark(message: unknown): boolean {
    return fieldsOf(message)['subtype'] === this.#subtype
  }

  /** Lets the next window in, after the mark was heard. */
  letIn(): void {
    const go = this.#go
    this.#go = null
    go?.()
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    if (this.#isRefused || this.#isTooLong(chunk)) done()
    else this.#pass(chunk, done)
  }

  #pass(chunk: Buffer, done: TransformCallback): void {
    this.#windowBytes += chunk.length
    const end = chunk.lastIndexOf(newline) + 1
    // A mark stands between two messages.
    if (this.#windowBytes < windowBytes || end === 0) {
      done(null, chunk)
      return
    }
    this.#windowBytes = 0
    this.#go = () => done(null, chunk.subarray(end))
    this.push(chunk.subarray(0, end))
    this.push(`${JSON.stringify({ type: 'system', subtype: this.#subtype })}\n`)
  }

  /** Follows the length of the line that is under way; one that began in this chunk is short. */
  #isTooLong(chunk: Buffer): boolean {
    const first = chunk.indexOf(newline)
    const lineBytes = this.#lineBytes + (first < 0 ? chunk.length : first)
    this.#lineBytes = first < 0 ? lineBytes : chunk.length - chunk.lastIndexOf(newline) - 1
    if (lineBytes <= messageBytesMax) return false
    this.#isRefused = true
    this.#onTooLong()
    return true
  }
}
