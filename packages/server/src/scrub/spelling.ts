/**
 * How encoders spell a printable ASCII character within a longer text: as it is, with backslashes
 * (JSON, also inside JSON; PHP writes `\/`), as `\u0026` (Go, and others for HTML's sake), `%26`
 * (URLs, also twice), `+` for a space (forms), or as `&amp;`, `&#38;`, `&#x26;` (HTML) — and as one
 * of these within another, such as `\u0026lt;` or `%5C%22`.
 */

/** JSON within JSON doubles backslashes each time. */
const backslashesMax = 8
/** Encoding once more makes `%25` of `%`, and `&amp;` of `&`. */
const againMax = 3
/** Characters for one, on average: `\\\\u0026` and `&#x0026;` take 9 and 8. */
const stretchMax = 12
/** Programs that wrap what they encode do so after 64 or 76 characters. */
const wrappedCharsMin = 48

/** Characters that a text takes at most, however it is spelled; what is longer is not looked for. */
export function longestSpelling(text: string): number {
  return text.length * stretchMax
}

/** How far all looks that is asked here of a place: eight backslashes in percent form, twice, and an entity. */
export const lookaheadCharsMax = 320

/** A character, by its code, and where its spelling ends. */
export interface Reading {
  readonly code: number
  readonly end: number
}

/** Whether a character may begin a spelling of another one. */
export function introduces(code: number): boolean {
  return code === backslashCode || code === percentCode || code === ampersandCode || code === plus
}

/** The same of what stands at `at`: most of what introduces something introduces nothing there. */
export function maySpell(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  if (code === backslashCode || code === plus) return true
  const next = text.charCodeAt(at + 1)
  if (code === percentCode) return digitOf(next) !== null
  return code === ampersandCode && (next === numberSign || next === percentCode || isLetter(next))
}

const backslashCode = 0x5c
const percentCode = 0x25
const ampersandCode = 0x26
const plus = 0x2b
const space = 0x20
const lineFeed = 0x0a
const carriageReturn = 0x0d
const semicolon = 0x3b
const numberSign = 0x23
/** Makes a letter of ASCII a small one, and leaves a digit. */
const lowerBit = 0x20
const digit0 = 0x30
const digit2 = 0x32
const digit5 = 0x35
const upperA = 0x41
const lowerA = 0x61
const lowerN = 0x6e
const lowerR = 0x72
const lowerU = 0x75
const lowerX = 0x78
/** `5c`, `26`, `23` and `3b`. */
const backslashDigits = [digit5, 0x63] as const
const ampersandDigits = [digit2, 0x36] as const
const numberDigits = [digit2, 0x33] as const
const semicolonDigits = [0x33, 0x62] as const
/** Of an entity's number; six zeros may stand before it. */
const decimal = { radix: 10, most: { digits: 9, number: 999 } }
const hexadecimal = { radix: 16, most: { digits: 8, number: 0xff } }
/** `VerticalLine` has 12. */
const nameCharsMax = 20

/** All that what stands at `at` may be read as: itself, and other characters that it may spell. */
export function readingsAt(text: string, at: number): Reading[] {
  const code = text.charCodeAt(at)
  const readings = [{ code, end: at + 1 }]
  if (code === plus) readings.push({ code: space, end: at + 1 })
  if (code === percentCode) addPercent(readings, text, at)
  if (code === percentCode || code === backslashCode) addEscaped(readings, text, at)
  if (introduces(code) && code !== plus) addEntities(readings, text, at)
  return readings
}

/** A run of backslashes, as they are or in percent form. */
export interface Backslashes {
  /** From here on it is short enough to be read as one. */
  readonly lastStart: number
  readonly end: number
}

/** The run that begins at `at`; it ends there, too, where there is none. */
export function backslashesAt(text: string, at: number): Backslashes {
  const starts: number[] = []
  let end = at
  for (let one = oneBackslashAt(text, at); one !== null; one = oneBackslashAt(text, one)) {
    starts.push(end)
    end = one
  }
  return { lastStart: starts.at(-backslashesMax) ?? at, end }
}

/** Whether it may be one, or its percent form begins with it. */
export function isBackslash(code: number): boolean {
  return code === backslashCode || code === percentCode
}

/** Where a line ends and goes on, where long texts are wrapped; null: no line end is here. */
export function wrapAt(text: string, at: number): number | null {
  const end = lineEndAt(text, at)
  return end !== null && isLong(text, at) ? end : null
}

/** Whether the text may go on behind the line end at `at`: the line is long, and has no space. */
export function isLong(text: string, at: number): boolean {
  if (at < wrappedCharsMin) return false
  for (let n = at - wrappedCharsMin; n < at; n += 1) if (isSpace(text.charCodeAt(n))) return false
  return true
}

export function isSpace(code: number): boolean {
  return code === space || (code >= 0x09 && code <= 0x0d)
}

/** The characters themselves, `\r\n` with any number of backslashes, or `%0D%0A`. */
function lineEndAt(text: string, at: number): number | null {
  const code = text.charCodeAt(at)
  if (code === lineFeed) return at + 1
  if (code === carriageReturn) return text.charCodeAt(at + 1) === lineFeed ? at + 2 : null
  const escaped = behindRun(text, at)
  if (escaped !== null) {
    const second = text.charCodeAt(escaped) === lowerR ? behindRun(text, escaped + 1) : escaped
    return second !== null && text.charCodeAt(second) === lowerN ? second + 1 : null
  }
  if (code !== percentCode) return null
  const second = isByte(text, at, 0x0d) ? at + 3 : at
  return isByte(text, second, 0x0a) ? second + 3 : null
}

/** Behind one to eight backslashes; null: there are none, or more. */
function behindRun(text: string, at: number): number | null {
  let end = oneBackslashAt(text, at)
  for (let count = 1; count < backslashesMax && end !== null; count += 1) {
    const next = oneBackslashAt(text, end)
    if (next === null) return end
    end = next
  }
  return end !== null && oneBackslashAt(text, end) === null ? end : null
}

/** Whether `%` with two digits is here, for this byte. */
function isByte(text: string, at: number, byte: number): boolean {
  return text.charCodeAt(at) === percentCode && hexAt(text, at + 1) === byte
}

/** After backslashes: the character itself, or its number; and a backslash that is doubled. */
function addEscaped(readings: Reading[], text: string, at: number): void {
  let end = oneBackslashAt(text, at)
  for (let count = 1; count <= backslashesMax && end !== null; count += 1) {
    if (count === 2 || count === 4 || count === 8) readings.push({ code: backslashCode, end })
    addBehindBackslashes(readings, text, end)
    end = oneBackslashAt(text, end)
  }
}

function addBehindBackslashes(readings: Reading[], text: string, at: number): void {
  const code = text.charCodeAt(at)
  if (Number.isNaN(code) || code === backslashCode) return
  readings.push({ code, end: at + 1 })
  if (code === percentCode) addPercent(readings, text, at)
  const digits =
    code === lowerX ? at + 1 : code === lowerU && areZeros(text, at + 1) ? at + 3 : null
  const number = digits === null ? null : hexAt(text, digits)
  if (digits !== null && number !== null) readings.push({ code: number, end: digits + 2 })
}

function areZeros(text: string, at: number): boolean {
  return text.charCodeAt(at) === digit0 && text.charCodeAt(at + 1) === digit0
}

function oneBackslashAt(text: string, at: number): number | null {
  const code = text.charCodeAt(at)
  if (code === backslashCode) return at + 1
  return code === percentCode ? percentFormEnd(text, { at, digits: backslashDigits }) : null
}

/**
 * Where a percent form that begins at `at` ends, if it is of these digits. No pattern, as nothing is
 * here: of a text that is nothing but such forms, each is read some twenty times, and a pattern's match
 * takes ten times as long.
 */
function percentFormEnd(
  text: string,
  { at, digits }: { readonly at: number; readonly digits: readonly [number, number] },
): number | null {
  for (let from = at + 1; from <= at + 1 + 2 * againMax; from += 2) {
    const [first, second] = [text.charCodeAt(from), text.charCodeAt(from + 1)]
    if (first === digits[0] && (second | lowerBit) === digits[1]) return from + 2
    if (first !== digit2 || second !== digit5) return null
  }
  return null
}

/** `%26`, and `%2526`, which may be read as `%26`, too. */
function addPercent(readings: Reading[], text: string, at: number): void {
  let end = at + 1
  let times = 0
  // Of more, each is read as all of them are.
  while (times < againMax + 2 && hexAt(text, end) === percentCode) {
    times += 1
    end += 2
  }
  const byte = hexAt(text, end)
  const again = byte === null ? times - 1 : times
  if (again < 0) return
  if (again <= againMax)
    readings.push(byte === null ? { code: percentCode, end } : { code: byte, end: end + 2 })
  for (let each = 1; each <= Math.min(again, againMax + 1); each += 1)
    readings.push({ code: percentCode, end: at + 1 + 2 * each })
}

function addEntities(readings: Reading[], text: string, at: number): void {
  let end: number | null = at
  for (let count = 0; count <= backslashesMax && end !== null; count += 1) {
    const begun = ampersandEnd(text, { at: end, isEscaped: count > 0 })
    if (begun !== null) addEntity(readings, text, begun)
    end = oneBackslashAt(text, end)
  }
}

/** `u0026` is one behind backslashes only, and `&` is one without any. */
function ampersandEnd(
  text: string,
  { at, isEscaped }: { readonly at: number; readonly isEscaped: boolean },
): number | null {
  const code = text.charCodeAt(at)
  if (code === percentCode) return percentFormEnd(text, { at, digits: ampersandDigits })
  if (isEscaped) return code === lowerU && text.startsWith('u0026', at) ? at + 5 : null
  return code === ampersandCode ? at + 1 : null
}

/** Behind an ampersand; `&amp;` is one, too. */
function addEntity(readings: Reading[], text: string, at: number): void {
  let from: number | null = at
  for (let times = 0; times <= againMax && from !== null; times += 1) {
    const found = numberedAt(text, from) ?? namedAt(text, from)
    if (found !== null) readings.push(found)
    from = text.startsWith('amp', from) ? semicolonEnd(text, from + 3) : null
  }
}

/** The rest of `&#38;` or `&#x26;`, with up to six zeros before its digits. */
function numberedAt(text: string, at: number): Reading | null {
  const code = text.charCodeAt(at)
  const isPercent = code === percentCode
  const begun = isPercent ? percentFormEnd(text, { at, digits: numberDigits }) : at + 1
  if (begun === null || (!isPercent && code !== numberSign)) return null
  const isHex = (text.charCodeAt(begun) | lowerBit) === lowerX
  const from = isHex ? begun + 1 : begun
  const { radix, most } = isHex ? hexadecimal : decimal
  let number = 0
  let to = from
  for (; to - from <= most.digits; to += 1) {
    const digit = digitOf(text.charCodeAt(to))
    if (digit === null || digit >= radix) break
    number = number * radix + digit
  }
  const isOne = to - from >= 2 && to - from <= most.digits && number <= most.number
  const end = isOne ? semicolonEnd(text, to) : null
  return end === null ? null : { code: number, end }
}

/** The rest of `&amp;`. */
function namedAt(text: string, at: number): Reading | null {
  let to = at
  while (to - at <= nameCharsMax && isLetter(text.charCodeAt(to))) to += 1
  const end = to === at ? null : semicolonEnd(text, to)
  const code = end === null ? undefined : named.get(text.slice(at, to))
  return end === null || code === undefined ? null : { code, end }
}

/** The end of an entity: of it the number or the name counts. */
function semicolonEnd(text: string, at: number): number | null {
  const code = text.charCodeAt(at)
  if (code === semicolon) return at + 1
  return code === percentCode ? percentFormEnd(text, { at, digits: semicolonDigits }) : null
}

/** The byte that two hexadecimal digits say. */
function hexAt(text: string, at: number): number | null {
  const [first, second] = [digitOf(text.charCodeAt(at)), digitOf(text.charCodeAt(at + 1))]
  return first === null || second === null ? null : first * 16 + second
}

function digitOf(code: number): number | null {
  if (code >= digit0 && code <= digit0 + 9) return code - digit0
  const letter = code | lowerBit
  return letter >= lowerA && letter < lowerA + 6 && code >= upperA ? letter - lowerA + 10 : null
}

function isLetter(code: number): boolean {
  const letter = code | lowerBit
  return letter >= lowerA && letter < lowerA + 26 && code >= upperA
}

/** HTML's names of ASCII characters: https://html.spec.whatwg.org/multipage/named-characters.html */
const named: ReadonlyMap<string, number> = new Map(
  [
    '!excl "quot|QUOT #num $dollar %percnt &amp|AMP \'apos (lpar )rpar *ast|midast +plus ,comma',
    '.period /sol :colon ;semi <lt|LT =equals >gt|GT ?quest @commat [lsqb|lbrack \\bsol ]rsqb|rbrack',
    '^Hat _lowbar|UnderBar `grave|DiacriticalGrave {lcub|lbrace |verbar|vert|VerticalLine }rcub|rbrace',
  ]
    .join(' ')
    .split(' ')
    .flatMap((each) =>
      each
        .slice(1)
        .split(/(?<=[a-zA-Z])\|/)
        .map((name) => [name, each.charCodeAt(0)] as const),
    ),
)
