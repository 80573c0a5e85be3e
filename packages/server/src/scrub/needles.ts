import {
  type Backslashes,
  backslashesAt,
  introduces,
  isBackslash,
  longestSpelling,
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

  /** Characters that one of them takes at most. */
  get longest(): number {
    return this.#longest
  }

  /** Where the first one at or after `from` begins and, being the longest there, ends. */
  find(text: string, from: number): { readonly at: number; readonly end: number } | null {
    if (this.#longest === 0) return null
    let run: Backslashes = { lastStart: from, end: from }
    for (let at = from; at < text.length; at += 1) {
      if (!this.#mayBegin(text, at)) continue
      if (this.#isPlain(text.charCodeAt(at))) {
        if (at >= run.end) run = backslashesAt(text, at)
        if (at < run.end && at !== run.lastStart) continue
      }
      const end = this.#endAt(text, at)
      if (end !== null) return { at, end }
    }
    return null
  }

  /** Of a run of these, all that it spells is seen from its last start: no form begins with them. */
  #isPlain(code: number): boolean {
    return isBackslash(code) && !this.#beginsWithBackslash
  }

  /** Almost every place of almost every text ends here. */
  #mayBegin(text: string, at: number): boolean {
    const first = text.charCodeAt(at)
    if (first >= codes) return false
    if (introduces(first)) return true
    if (!this.#root.next.has(first)) return false
    const second = text.charCodeAt(at + 1)
    if (second >= codes) return false
    return this.#pairs[first * codes + second] === 1 || introduces(second) || isLineEnd(second)
  }

  #endAt(text: string, at: number): number | null {
    let longest: number | null = null
    const next = nextIn(text)
    const follow = (branch: Branch, from: number): void => {
      for (const form of branch.forms) {
        const end = endOf(form, { at: from, next })
        const isWithin = end !== null && end - at <= longestSpelling(form)
        if (isWithin && (longest === null || end > longest)) longest = end
      }
      if (branch.next.size === 0) return
      for (const { code, end } of next(from, branch !== this.#root)) {
        const longer = branch.next.get(code)
        if (longer !== undefined) follow(longer, end)
      }
    }
    follow(this.#root, at)
    return longest
  }
}

/** What may be read next at a place; `begun`: behind the first character of a form. */
type Next = (at: number, begun: boolean) => readonly Reading[]

/** Where the rest of a form ends that goes on at this place, by the longest reading of it. */
function endOf(form: string, o: { readonly at: number; readonly next: Next }): number | null {
  let ends = [o.at]
  for (let place = depth; place < form.length; place += 1) {
    const wanted = form.charCodeAt(place)
    const further: number[] = []
    for (const at of ends)
      for (const { code, end } of o.next(at, true))
        if (code === wanted && !further.includes(end)) further.push(end)
    if (further.length === 0) return null
    ends = further
  }
  return Math.max(...ends)
}

/** Forms that begin alike read the same places: what may spell anything is read once for all of them. */
function nextIn(text: string): Next {
  let known: Map<number, Reading[]> | undefined
  return function nextAt(at, begun) {
    if (at >= text.length) return []
    const code = text.charCodeAt(at)
    if (!introduces(code) && !isLineEnd(code)) return [{ code, end: at + 1 }]
    // The first place is read once, and no other one as if nothing had begun.
    const before = begun ? known?.get(at) : undefined
    if (before !== undefined) return before
    const wrapped = begun ? wrapAt(text, at) : null
    const here = readingsAt(text, at)
    const readings = wrapped === null ? here : [...here, ...readingsAt(text, wrapped)]
    if (begun) {
      known ??= new Map()
      known.set(at, readings)
    }
    return readings
  }
}

function isLineEnd(code: number): boolean {
  return code === 0x0a || code === 0x0d
}
