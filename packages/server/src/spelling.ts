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

/** Characters that a text takes at most, however it is spelled; what is longer is not looked for. */
export function longestSpelling(text: string): number {
  return text.length * stretchMax
}

/** Finds where one of the characters may stand. */
export function spellingsOf(chars: readonly string[]): RegExp {
  const plain = chars.map(plainly).join('')
  return new RegExp(`[${plain}]|(?=[\\\\%&+])(?:${chars.flatMap(spellings).join('|')})`, 'g')
}

/** The ends of all that stands at `at` and may be read as the character. */
export function endsOf(text: string, o: { readonly char: string; readonly at: number }): number[] {
  const found = text[o.at]
  const ends = found === o.char ? [o.at + 1] : []
  if (found === undefined || !introducers.includes(found)) return ends
  for (const spelling of stickyOf(o.char)) {
    spelling.lastIndex = o.at
    if (spelling.test(text)) ends.push(spelling.lastIndex)
  }
  return ends
}

const introducers = '\\%&+'

const again = `(?:25){0,${againMax}}`
const backslash = `(?:\\\\|%${again}5[cC])`
const slashes = `${backslash}{1,${backslashesMax}}`
const ampersand = `(?:&|${slashes}u0026|%${again}26)`
const hash = `(?:#|%${again}23)`
const semicolon = `(?:;|%${again}3[bB])`

/** Patterns, each with one way to read a text at most. */
function spellings(char: string): string[] {
  const code = char.charCodeAt(0)
  const hex = code.toString(16).replace(/[a-f]/, (digit) => `[${digit}${digit.toUpperCase()}]`)
  const names = named.get(char)
  const entity = `(?:${hash}0{0,6}${code}|${hash}[xX]0{0,6}${hex}${names === undefined ? '' : `|${names}`})`
  return [
    `${slashes}(?:u00|x|%${again})${hex}`,
    ...repeated(char === '%', (times) => `%(?:25)${times}${hex}`),
    ...repeated(
      char === '&',
      (times) => `${ampersand}(?:amp${semicolon})${times}${entity}${semicolon}`,
    ),
    ...(char === '\\'
      ? [2, 4, 8].map((count) => `${backslash}{${count}}`)
      : [slashes + plainly(char)]),
    ...(char === ' ' ? ['\\+'] : []),
  ]
}

/** What is encoded again is one pattern, or several where it can be read in several ways. */
function repeated(isAmbiguous: boolean, pattern: (times: string) => string): string[] {
  if (!isAmbiguous) return [pattern(`{0,${againMax}}`)]
  return Array.from({ length: againMax + 1 }, (_, times) => pattern(`{${times}}`))
}

function plainly(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16)}`
}

const known = new Map<string, readonly RegExp[]>()

function stickyOf(char: string): readonly RegExp[] {
  const found = known.get(char) ?? spellings(char).map((source) => new RegExp(source, 'y'))
  known.set(char, found)
  return found
}

/** HTML's names of ASCII characters: https://html.spec.whatwg.org/multipage/named-characters.html */
const named: ReadonlyMap<string, string> = new Map(
  [
    '!excl "quot|QUOT #num $dollar %percnt &amp|AMP \'apos (lpar )rpar *ast|midast +plus ,comma',
    '.period /sol :colon ;semi <lt|LT =equals >gt|GT ?quest @commat [lsqb|lbrack \\bsol ]rsqb|rbrack',
    '^Hat _lowbar|UnderBar `grave|DiacriticalGrave {lcub|lbrace |verbar|vert|VerticalLine }rcub|rbrace',
  ]
    .join(' ')
    .split(' ')
    .map((each) => [each.slice(0, 1), each.slice(1)]),
)
