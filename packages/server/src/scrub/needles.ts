import {
  type Backslashes,
  backslashesAt,
  introduces,
  isBackslash,
  longestSpelling,
  lookaheadCharsMax,
  maySpell,
  type Reading,
  readingsAt,
  wrapAt,
} from './spelling.ts'

/** Forms that begin alike are told apart by so many characters; then each is compared by itself. */
const depth = 4
/** Codes of ASCII. */
const codes = 128

interface Branch {
  readonly next: Map<number, Branch>
  /** Those that have got so far. */
  readonly forms: string[]
}

/** Where one stands in a text. */
interface Place {
  readonly at: number
  readonly end: number
}

/** What a look at a text has found; open: the first place that says more with more of the text. */
interface Looked {
  readonly found: Place | null
  readonly open: number | null
}

/** The run of backslashes that was come to last. */
interface Seen {
  run: Backslashes
}

/** A set of texts that are looked for at once, however each of their characters is spelled. */
export class Needles {
  readonly #root: Branch = { next: new Map(), forms: [] }
  readonly #known = new Set<string>()
  /** By the codes of the first two characters: whether a text begins so. */
  readonly #pairs = new Uint8Array(codes * codes)
  #longest = 0
  #beginsWithBackslash = false

  /** ASCII, `depth` characters or more. */
  add(form: string): void {
    if (this.#known.has(form)) return
    this.#known.add(form)
    this.#longest = Math.max(this.#longest, longestSpelling(form))
    this.#pairs[form.charCodeAt(0) * codes + form.charCodeAt(1)] = 1
    this.#beginsWithBackslash ||= isBackslash(form.charCodeAt(0))
    let branch = this.#root
    for (let at = 0; at < depth; at += 1) {
      const code = form.charCodeAt(at)
      const next = branch.next.get(code) ?? { next: new Map(), forms: [] }
      branch.next.set(code, next)
      branch = next
    }
    branch.forms.push(form)
  }

  /** How many there are; none is ever taken away. */
  get count(): number {
    return this.#known.size
  }

  /** Characters that one of them takes at most. */
  get longest(): number {
    return this.#longest
  }

  /** Where the first one at or after `from` begins and, being the longest there, ends. */
  find(text: string, from: number): Place | null {
    return this.look(text, from).found
  }

  /** The same; and from where it must be looked again if more of the text comes. */
  look(text: string, from: number): Looked {
    const seen: Seen = { run: { lastStart: from, end: from } }
    let open: number | null = null
    for (let at = this.#next(text, from, seen); at !== null; at = this.#next(text, at + 1, seen)) {
      const { end, isOpen } = this.#readAt(text, at)
      if (isOpen) open ??= at
      if (end !== null) return { found: { at, end }, open }
    }
    // What the last character begins depends on the next one.
    return { found: null, open: open ?? Math.max(from, text.length - 1) }
  }

  /** The first place at or after `from` where one may begin. */
  #next(text: string, from: number, seen: Seen): number | null {
    if (this.#longest === 0) return null
    for (let at = from; at < text.length; at += 1)
      if (this.#mayBegin(text, at) && !this.#isWithinRun(text, at, seen)) return at
    return null
  }

  #isWithinRun(text: string, at: number, seen: Seen): boolean {
    if (!this.#isPlain(text.charCodeAt(at))) return false
    if (at >= seen.run.end) seen.run = backslashesAt(text, at)
    return at < seen.run.end && at !== seen.run.lastStart
  }

  /** Of a run of these, all that it spells is seen from its last start: no form begins with them. */
  #isPlain(code: number): boolean {
    return isBackslash(code) && !this.#beginsWithBackslash
  }

  /** Almost every place of almost every text ends here. */
  #mayBegin(text: string, at: number): boolean {
    const first = text.charCodeAt(at)
    if (first >= codes) return false
    if (introduces(first) && maySpell(text, at)) return true
    if (!this.#root.next.has(first)) return false
    const second = text.charCodeAt(at + 1)
    if (second >= codes) return false
    return this.#pairs[first * codes + second] === 1 || introduces(second) || isLineEnd(second)
  }

  /** Where one ends that begins here; open: it may, or another one, with more of the text. */
  #readAt(text: string, at: number): { readonly end: number | null; readonly isOpen: boolean } {
    let longest: number | null = null
    const reader = new Reader(text)
    const follow = (branch: Branch, from: number): void => {
      for (const form of branch.forms) {
        const end = reader.endOf(form, from)
        const isWithin = end !== null && end - at <= longestSpelling(form)
        if (isWithin && (longest === null || end > longest)) longest = end
      }
      if (branch.next.size === 0) return
      for (const { code, end } of reader.next(from, branch !== this.#root)) {
        const longer = branch.next.get(code)
        if (longer !== undefined) follow(longer, end)
      }
    }
    follow(this.#root, at)
    return { end: longest, isOpen: reader.isOpen }
  }
}

/** Reads on from one place: forms that begin alike read the same, and what may spell anything is read once for all of them. */
class Reader {
  readonly #text: string
  #known: Map<number, readonly Reading[]> | undefined
  /** Whether what was read depends on what comes behind the text. */
  isOpen = false

  constructor(text: string) {
    this.#text = text
  }

  /** What may be read at a place; `begun`: behind the first character of a form. */
  next(at: number, begun: boolean): readonly Reading[] {
    const text = this.#text
    if (at >= text.length) {
      this.isOpen = true
      return none
    }
    const code = text.charCodeAt(at)
    if (!introduces(code) && !isLineEnd(code)) return [{ code, end: at + 1 }]
    if (at > text.length - lookaheadCharsMax) this.isOpen = true
    // The first place is read once, and no other one as if nothing had begun.
    if (!begun) return readingsAt(text, at)
    const known = this.#known?.get(at)
    if (known !== undefined) return known
    const wrapped = wrapAt(text, at)
    const here = readingsAt(text, at)
    const readings = wrapped === null ? here : [...here, ...readingsAt(text, wrapped)]
    this.#known ??= new Map()
    this.#known.set(at, readings)
    return readings
  }

  /** Where the rest of a form ends that goes on at this place, by the longest reading of it. */
  endOf(form: string, from: number): number | null {
    let ends = [from]
    for (let place = depth; place < form.length; place += 1) {
      const wanted = form.charCodeAt(place)
      const further: number[] = []
      for (const at of ends)
        for (const { code, end } of this.next(at, true))
          if (code === wanted && !further.includes(end)) further.push(end)
      if (further.length === 0) return null
      ends = further
    }
    return Math.max(...ends)
  }
}

const none: readonly Reading[] = []

function isLineEnd(code: number): boolean {
  return code === 0x0a || code === 0x0d
}
