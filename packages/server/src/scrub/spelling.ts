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

/** A character, by its code, and where its spelling ends. */
export interface Reading {
  readonly code: number
  readonly end: number
}

/** Whether a character may begin a spelling of another one. */
export function introduces(code: number): boolean {
  return code === backslashCode || code === percentCode || code === ampersandCode || code === plus
}

const backslashCode = 0x5c
const percentCode = 0x25
const ampersandCode = 0x26
const plus = 0x2b
const space = 0x20
/** Makes a letter of ASCII a small one, and leaves a digit. */
const lowerBit = 0x20
const digit2 = 0x32
const digit5 = 0x35
/** `5c` and `26`. */
const backslashDigits = [digit5, 0x63] as const
const ampersandDigits = [digit2, 0x36] as const
const lowerU = 0x75
const lowerX = 0x78

/** All that what stands at `at` may be read as: itself, and other characters that it may spell. */
export function readingsAt(text: string, at: number): Reading[] {
  const code = text.charCodeAt(at)
  const itself = { code, end: at + 1 }
  switch (code) {
    case backslashCode:
      return [itself, ...escapedAt(text, at), ...entitiesAt(text, at)]
    case percentCode:
      return [itself, ...percentAt(text, at), ...escapedAt(text, at), ...entitiesAt(text, at)]
    case ampersandCode:
      return [itself, ...entitiesAt(text, at)]
    case plus:
      return [itself, { code: space, end: at + 1 }]
    default:
      return [itself]
  }
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
  const end = matchAt(lineEnd, text, at)?.end
  return end !== undefined && isLong(text, at) ? end : null
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

const backslash = `(?:\\\\|%(?:25){0,${againMax}}5[cC])`
const lineEnd = new RegExp(
  `\\r?\\n|${backslash}{1,${backslashesMax}}(?:r${backslash}{1,${backslashesMax}})?n|(?:%0[dD])?%0[aA]`,
  'y',
)
const hexEscape = /(?:u00|x)([0-9a-f]{2})/iy
const percent = /%((?:25)*)([0-9a-f]{2})/iy
/** The rest of an entity: of it the number or the name counts. */
const semicolon = `(?:;|%(?:25){0,${againMax}}3[bB])`
const entity = new RegExp(
  `(?:#|%(?:25){0,${againMax}}23)(?:0{0,6}([0-9]{2,3})|[xX]0{0,6}([0-9a-fA-F]{2}))${semicolon}|([A-Za-z]{2,20})${semicolon}`,
  'y',
)
const ampersandAgain = new RegExp(`amp${semicolon}`, 'y')

/** After backslashes: the character itself, or its number; and a backslash that is doubled. */
function escapedAt(text: string, at: number): Reading[] {
  const readings: Reading[] = []
  let end = oneBackslashAt(text, at)
  for (let count = 1; count <= backslashesMax && end !== null; count += 1) {
    if (count === 2 || count === 4 || count === 8) readings.push({ code: backslashCode, end })
    readings.push(...behindBackslashes(text, end))
    end = oneBackslashAt(text, end)
  }
  return readings
}

function behindBackslashes(text: string, at: number): Reading[] {
  const code = text.charCodeAt(at)
  if (Number.isNaN(code) || code === backslashCode) return []
  const itself = { code, end: at + 1 }
  if (code === percentCode) return [itself, ...percentAt(text, at)]
  const number = code === lowerU || code === lowerX ? matchAt(hexEscape, text, at) : null
  if (number === null) return [itself]
  return [itself, { code: Number.parseInt(number.groups[0] ?? '', 16), end: number.end }]
}

function oneBackslashAt(text: string, at: number): number | null {
  const code = text.charCodeAt(at)
  if (code === backslashCode) return at + 1
  return code === percentCode ? percentFormEnd(text, { at, digits: backslashDigits }) : null
}

/**
 * Where a percent form that begins at `at` ends, if it is of these digits. No pattern, as most here
 * are: of a text that is nothing but such forms, each is read some twenty times.
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
function percentAt(text: string, at: number): Reading[] {
  const found = matchAt(percent, text, at)
  if (found === null) return []
  const [again = '', hex = ''] = found.groups
  const readings = [{ code: Number.parseInt(hex, 16), end: found.end }]
  for (let times = 1; times <= Math.min(again.length / 2, againMax + 1); times += 1)
    readings.push({ code: percentCode, end: at + 1 + 2 * times })
  return again.length / 2 > againMax ? readings.slice(1) : readings
}

function entitiesAt(text: string, at: number): Reading[] {
  const readings: Reading[] = []
  let end: number | null = at
  for (let count = 0; count <= backslashesMax && end !== null; count += 1) {
    const begun = ampersandEnd(text, { at: end, isEscaped: count > 0 })
    if (begun !== null) readings.push(...entityAt(text, begun))
    end = oneBackslashAt(text, end)
  }
  return readings
}

/** `u0026` is one behind backslashes only, and `&` is one without any. */
function ampersandEnd(
  text: string,
  { at, isEscaped }: { readonly at: number; readonly isEscaped: boolean },
): number | null {
  const code = text.charCodeAt(at)
  if (code === percentCode) return percentFormEnd(text, { at, digits: ampersandDigits })
  if (isEscaped) return text.startsWith('u0026', at) ? at + 5 : null
  return code === ampersandCode ? at + 1 : null
}

/** Behind an ampersand; `&amp;` is one, too. */
function entityAt(text: string, at: number): Reading[] {
  const readings: Reading[] = []
  let from: number | undefined = at
  for (let times = 0; times <= againMax && from !== undefined; times += 1) {
    const found = matchAt(entity, text, from)
    const code = found === null ? undefined : codeOf(found.groups)
    if (found !== null && code !== undefined) readings.push({ code, end: found.end })
    from = matchAt(ampersandAgain, text, from)?.end
  }
  return readings
}

function codeOf([decimal, hex, name]: readonly (string | undefined)[]): number | undefined {
  if (decimal !== undefined) return Number(decimal)
  return hex === undefined ? named.get(name ?? '') : Number.parseInt(hex, 16)
}

function matchAt(
  pattern: RegExp,
  text: string,
  at: number,
): { readonly end: number; readonly groups: readonly (string | undefined)[] } | null {
  pattern.lastIndex = at
  const found = pattern.exec(text)
  return found === null ? null : { end: pattern.lastIndex, groups: found.slice(1) }
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
