import { isLong, isSpace } from './spelling.ts'

interface Options {
  readonly scrub: (text: string) => string
  readonly find: (
    text: string,
    from: number,
  ) => { readonly at: number; readonly end: number } | null
  /** Characters that a secret takes at most, less one. */
  readonly tail: number
  /** Whether a secret may have spaces; then only the end of a line is none of it. */
  readonly hasSpaces: boolean
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * A text that comes in pieces and leaves in pieces. A word that has not ended waits, as much as a
 * secret could take, whatever it says: how long it waits tells nothing of a secret.
 */
export class ScrubbedText {
  readonly #o: Options
  #held = ''

  constructor(o: Options) {
    this.#o = o
  }

  push(text: string): string {
    const held = this.#held + text
    const boundary = this.#boundary(held)
    const isNear = boundary >= held.length - this.#o.tail
    const at = isNear ? boundary : Math.max(boundary, this.#overflow(held))
    this.#held = held.slice(at)
    return this.#o.scrub(held.slice(0, at))
  }

  /** What has waited; nothing comes any more. */
  end(): string {
    const rest = this.#held
    this.#held = ''
    return this.#o.scrub(rest)
  }

  /** Behind the last space that stands in no form, nor does a line that was wrapped end there. */
  #boundary(text: string): number {
    for (let at = text.length - 1; at >= 0; at -= 1) {
      const code = text.charCodeAt(at)
      const isLineEnd = code === lineFeed || code === carriageReturn
      if (isLineEnd ? !isWrapped(text, at) : isSpace(code) && !this.#o.hasSpaces) return at + 1
    }
    return 0
  }

  /** What is further from the end than a secret can reach; none is cut in two. */
  #overflow(text: string): number {
    const { tail, find } = this.#o
    const at = text.length - tail
    if (at <= 0) return 0
    for (let found = find(text, 0); found !== null && found.at < at; found = find(text, found.end))
      if (found.end > at) return found.at
    return at
  }
}

function isWrapped(text: string, at: number): boolean {
  return isLong(text, text[at - 1] === '\r' ? at - 1 : at)
}
