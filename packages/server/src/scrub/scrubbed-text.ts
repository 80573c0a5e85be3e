import type { Needles } from './needles.ts'
import { isLong, isSpace } from './spelling.ts'

interface Options {
  /** Those that are known now. */
  readonly needles: () => Needles
  /** What stands for a secret. */
  readonly mark: string
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
  /** In what is held, no secret begins before, whatever comes. */
  #settled = 0
  /** What it is settled for. */
  #needles: Needles | null = null
  #count = 0

  constructor(o: Options) {
    this.#o = o
  }

  push(text: string): string {
    const held = this.#held + text
    const boundary = this.#boundary(held)
    const overflow = held.length - this.#o.tail
    // What is further from the end than a secret can reach waits no longer.
    return boundary < overflow
      ? this.#release(held, { text: held, limit: overflow })
      : this.#release(held, { text: held.slice(0, boundary), limit: boundary })
  }

  /** What has waited; nothing comes any more. */
  end(): string {
    return this.#release(this.#held, { text: this.#held, limit: this.#held.length })
  }

  /** What begins before `limit` and ends behind it waits, too: none is cut in two. */
  #release(held: string, o: { readonly text: string; readonly limit: number }): string {
    const { text, limit } = o
    const needles = this.#needlesNow()
    let done = ''
    let from = 0
    let open: number | null = null
    for (let at = Math.min(this.#settled, text.length); ; at = from) {
      const looked = needles.look(text, at)
      open ??= looked.open
      const { at: begins, end } = looked.found ?? { at: limit, end: text.length + 1 }
      const cut = Math.min(limit, begins)
      done += text.slice(from, cut)
      if (end <= limit) {
        done += this.#o.mark
        from = end
        continue
      }
      this.#held = held.slice(cut)
      this.#settled = Math.max(0, (open ?? cut) - cut)
      return done
    }
  }

  /** To those that are new, nothing is settled. */
  #needlesNow(): Needles {
    const needles = this.#o.needles()
    if (needles !== this.#needles || needles.count !== this.#count) this.#settled = 0
    this.#needles = needles
    this.#count = needles.count
    return needles
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
}

function isWrapped(text: string, at: number): boolean {
  return isLong(text, text[at - 1] === '\r' ? at - 1 : at)
}
