/**
 * Takes secrets out of what comes back from where they were sent: an answer may repeat them, as they
 * are or in any of the usual encodings. What disguises them in another way is not found; a receiver
 * that wants to give a secret away can.
 */
export class Scrubber {
  readonly #forms: readonly string[]
  readonly #pattern: RegExp | null

  /** Secrets are printable ASCII of 8 characters or more; shorter ones would be found everywhere. */
  constructor(secrets: readonly string[]) {
    const forms = new Set(secrets.flatMap(formsOf))
    this.#forms = [...forms].sort((a, b) => b.length - a.length)
    const escaped = this.#forms.map((form) => form.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    this.#pattern = escaped.length === 0 ? null : new RegExp(escaped.join('|'), 'g')
  }

  text(text: string): string {
    return this.#pattern === null ? text : text.replace(this.#pattern, mark)
  }

  /** The start of a text that was cut at its end, which may have cut a secret in two. */
  cut(text: string): string {
    return this.#pattern === null ? text : this.#splitOff(this.text(text)).done
  }

  /** The same chunks; an end of one that may be the start of a secret waits for the next. */
  async *stream(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let held = ''
    for await (const chunk of chunks) {
      // One character a byte: every form is ASCII, and no other character is torn apart.
      const split = this.#splitOff(this.text(held + chunk.toString('latin1')))
      held = split.rest
      if (split.done !== '') yield Buffer.from(split.done, 'latin1')
    }
    if (held !== '') yield Buffer.from(held, 'latin1')
  }

  #splitOff(text: string): { done: string; rest: string } {
    let length = 0
    for (const form of this.#forms) length = Math.max(length, overlap(text, form))
    return { done: text.slice(0, text.length - length), rest: text.slice(text.length - length) }
  }
}

const mark = '[secret]'

/** Characters at the end of the text with which the form begins, less than all of it. */
function overlap(text: string, form: string): number {
  for (let length = Math.min(form.length - 1, text.length); length > 0; length -= 1)
    if (text.endsWith(form.slice(0, length))) return length
  return 0
}

/** The texts that give a secret away. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const url = [encodeURIComponent(secret), new URLSearchParams({ s: secret }).toString().slice(2)]
  const base64 = [0, 1, 2].map((offset) => base64At(bytes, offset))
  const hex = bytes.toString('hex')
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    ...url,
    ...url.map((text) => text.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())),
    ...[hex, hex.toUpperCase()],
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
}

/** What stands in the base64 of anything that has these bytes `offset` bytes after a third one. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
}
