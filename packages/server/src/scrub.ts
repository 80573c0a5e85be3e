import { endsOf, longestSpelling, spellingsOf } from './spelling.ts'

/**
 * Takes secrets out of what comes back from where they were sent: an answer may repeat them, as they
 * are or in any of the usual encodings. What disguises them in another way is not found; a receiver
 * that wants to give a secret away can. What is left never depends on a part of a secret, or it could
 * be guessed character by character.
 */
export class Scrubber {
  readonly #forms: readonly string[]
  /** Where one may begin. */
  readonly #starts: RegExp | null
  /** Characters that any form takes, at most, less one. */
  readonly #tail: number

  /** Secrets are printable ASCII of 8 characters or more; shorter ones would be found everywhere. */
  constructor(secrets: readonly string[]) {
    this.#forms = [...new Set(secrets.flatMap(formsOf))]
    const firsts = new Set(this.#forms.map((form) => form.slice(0, 1)))
    this.#starts = firsts.size === 0 ? null : spellingsOf([...firsts])
    this.#tail = Math.max(0, ...this.#forms.map((form) => longestSpelling(form) - 1))
  }

  text(text: string): string {
    if (this.#starts === null) return text
    let done = ''
    let from = 0
    this.#starts.lastIndex = 0
    for (let found = this.#starts.exec(text); found !== null; found = this.#starts.exec(text)) {
      const end = this.#endAt(text, found.index)
      this.#starts.lastIndex = end ?? found.index + 1
      if (end === null) continue
      done += text.slice(from, found.index) + mark
      from = end
    }
    return done + text.slice(from)
  }

  /**
   * The start of a text that was cut at its end, which may have cut a secret in two: as much is left
   * out as a secret could take, whatever it says.
   */
  cut(text: string): string {
    const scrubbed = this.text(text)
    return scrubbed.slice(0, Math.max(0, scrubbed.length - this.#tail))
  }

  /** The same chunks; the end of a line that has not ended waits, as much as a secret could take. */
  async *stream(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let held = ''
    for await (const chunk of chunks) {
      // One character a byte: every form is ASCII, and no other character is torn apart.
      const text = this.text(held + chunk.toString('latin1'))
      // No form has a line end.
      const at = Math.max(text.lastIndexOf('\n') + 1, text.length - this.#tail)
      held = text.slice(at)
      if (at > 0) yield Buffer.from(text.slice(0, at), 'latin1')
    }
    if (held !== '') yield Buffer.from(held, 'latin1')
  }

  /** The end of the longest form that begins here. */
  #endAt(text: string, at: number): number | null {
    const ends = this.#forms.map((form) => endOf(text, { at, form })).filter((end) => end !== null)
    return ends.length === 0 ? null : Math.max(...ends)
  }
}

const mark = '[secret]'

/** Where the form ends that begins at this place, however each character of it is spelled. */
function endOf(text: string, { at, form }: { at: number; form: string }): number | null {
  let ends = [at]
  for (const char of form) {
    const next = ends.flatMap((end) => endsOf(text, { char, at: end }))
    if (next.length === 0) return null
    ends = next.length === 1 ? next : [...new Set(next)]
  }
  const last = ends.filter((end) => end - at <= longestSpelling(form))
  return last.length === 0 ? null : Math.max(...last)
}

/** The texts that give a secret away, before any of their characters is escaped. */
function formsOf(secret: string): string[] {
  return [secret, ...basicOf(secret)].flatMap((text) => {
    const bytes = Buffer.from(text)
    const hex = bytes.toString('hex')
    const base64 = [0, 1, 2].map((offset) => base64At(bytes, offset))
    return [
      ...[text, hex, hex.toUpperCase()],
      ...base64,
      ...base64.map((each) => each.replaceAll('+', '-').replaceAll('/', '_')),
    ]
  })
}

/** What a Basic credential (RFC 7617) says in base64: `name:password`, and the password. */
function basicOf(secret: string): string[] {
  const decoded = Buffer.from(secret, 'base64')
  const [, password = ''] = /^[\x20-\x7e]*?:([\x20-\x7e]+)$/.exec(decoded.toString('latin1')) ?? []
  const isBasic = password !== '' && sameBase64(decoded.toString('base64'), secret)
  if (!isBasic) return []
  return [decoded.toString('latin1'), password].filter(({ length }) => length >= secretCharsMin)
}

/** A shorter one would be found everywhere. */
const secretCharsMin = 8

function sameBase64(a: string, b: string): boolean {
  return a.replace(/=+$/, '') === b.replace(/=+$/, '')
}

/** What stands in the base64 of anything that has these bytes `offset` bytes after a third one. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
}
