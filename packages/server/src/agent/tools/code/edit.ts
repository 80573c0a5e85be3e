import type { Node } from 'web-tree-sitter'
import { CodeRefused } from './bounds.ts'
import type { Located, Source } from './outline.ts'
import { rename } from './rename.ts'

/** Which symbol of a file, and what is done with it. */
export type CodeEdit = {
  /** The symbol's path, as an outline shows it. */
  readonly symbol: string
  /** Its first line, where several symbols have that path. */
  readonly line?: number | undefined
} & (
  | {
      readonly operation: 'replace' | 'insert_before' | 'insert_after'
      /** Whole lines, indented as they shall stand; empty: a replaced symbol is removed. */
      readonly text: string
    }
  | { readonly operation: 'rename'; readonly newName: string }
)

/** A part of a text that something else takes the place of. */
export interface Change {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** The edited text, not yet parsed. */
export interface Edited {
  readonly text: string
  /** In order, without overlap. */
  readonly changes: readonly Change[]
  readonly target: Located
}

/** Applies one edit. Throws `CodeRefused` when the symbol is not there, or not alone. */
export function applyEdit(
  source: Source,
  { symbols, edit }: { readonly symbols: readonly Located[]; readonly edit: CodeEdit },
): Edited {
  const target = find(symbols, edit)
  const changes =
    edit.operation === 'rename'
      ? rename(source, { symbols, target, newName: edit.newName })
      : [placed(source, { symbols, target, edit })]
  let text = ''
  let at = 0
  for (const change of changes) {
    text += source.text.slice(at, change.start) + change.text
    at = change.end
  }
  return { text: text + source.text.slice(at), changes, target }
}

/** Most symbols that a refusal names. */
const namedMax = 10

function find(symbols: readonly Located[], { symbol: path, line }: CodeEdit): Located {
  const same = symbols.filter(({ symbol }) => symbol.path === path)
  const found = line === undefined ? same : same.filter(({ symbol }) => symbol.startLine === line)
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const named = same.slice(0, namedMax)
  const lines = named.map(({ symbol }) => `${symbol.kind} on line ${symbol.startLine}`).join(', ')
  if (found.length > 1) throw new CodeRefused(`${path} is ambiguous: ${lines}. Give its line.`)
  if (same.length > 0)
    throw new CodeRefused(`No ${path} begins on line ${line}; there is ${lines}.`)
  const name = path.split('.').at(-1)
  const alike = symbols.filter(({ symbol }) => symbol.name === name).slice(0, namedMax)
  const hint = alike.map(({ symbol }) => symbol.path).join(', ')
  throw new CodeRefused(`There is no symbol ${path}.${hint === '' ? '' : ` There is ${hint}.`}`)
}

interface Placing {
  readonly symbols: readonly Located[]
  readonly target: Located
  readonly edit: CodeEdit & { readonly text: string }
}

function placed(source: Source, { symbols, target, edit }: Placing): Change {
  const { text } = source
  const lines = inLineEnds(edit.text.replace(/\r?\n$/, ''), text)
  if (edit.operation === 'replace') return replaced(source, { symbols, target, lines })
  if (lines.trim() === '') throw new CodeRefused('The text to insert is empty.')
  const end = lineEndOf(text)
  if (edit.operation === 'insert_before') {
    const start = lineStart(text, target.start)
    if (text.slice(start, target.start).trim() !== '') throw sharesLine(target)
    const above = aboveComments(source, target, start)
    return { start: above, end: above, text: lines + end }
  }
  const after = lineStop(text, target.end)
  if (!/^[\s,;]*((\/\/|#|\/\*).*)?$/.test(text.slice(target.end, after))) throw sharesLine(target)
  return { start: after, end: after, text: end + lines }
}

function replaced(
  { text }: Source,
  o: { readonly symbols: readonly Located[]; readonly target: Located; readonly lines: string },
): Change {
  const { target } = o
  const together = o.symbols.find(
    (other) => other !== target && other.start === target.start && other.end === target.end,
  )
  if (together !== undefined)
    throw new CodeRefused(
      `${target.symbol.path} is declared together with ${together.symbol.path}.`,
    )
  const start = lineStart(text, target.start)
  const isAlone = text.slice(start, target.start).trim() === ''
  // What ends it in the file may end it in the text, too: once is enough.
  const stop = text.slice(target.end).match(/^[ \t]*[,;]/)
  const lines = stop === null ? o.lines : o.lines.replace(/[,;][ \t]*$/, '')
  if (lines.trim() !== '')
    return isAlone
      ? { start, end: target.end, text: lines }
      : { start: target.start, end: target.end, text: lines.trimStart() }
  const end = target.end + (stop?.[0].length ?? 0)
  const rest = lineStop(text, end)
  const isWhole = isAlone && text.slice(end, rest).trim() === ''
  return isWhole
    ? { start, end: Math.min(text.length, rest + lineEndOf(text).length), text: '' }
    : { start: target.start, end, text: '' }
}

function sharesLine({ symbol }: Located): CodeRefused {
  return new CodeRefused(
    `${symbol.path} shares its line with other code, so nothing can be inserted beside it: ` +
      'replace what is around it.',
  )
}

/** The first of the comments that stand right above, line by line, without a blank line between. */
function aboveComments(source: Source, target: Located, start: number): number {
  let above = start
  while (above > 0) {
    const before = source.text.slice(lineStart(source.text, above - 1), above)
    const comment = commentAt(source, above - before.length + before.trimEnd().length - 1)
    if (before.trim() === '' || comment === null || comment.startIndex >= target.start) break
    const first = lineStart(source.text, comment.startIndex)
    // Behind code it is that code's.
    if (source.text.slice(first, comment.startIndex).trim() !== '') break
    above = first
  }
  return above
}

function commentAt({ tree }: Source, index: number): Node | null {
  let found: Node | null = null
  let node = tree.rootNode.descendantForIndex(Math.max(0, index))
  for (; node !== null; node = node.parent) if (node.type.includes('comment')) found = node
  return found
}

function lineStart(text: string, at: number): number {
  return at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1
}

/** Where the line ends, before its end of line. */
function lineStop(text: string, at: number): number {
  const end = text.indexOf('\n', at)
  if (end === -1) return text.length
  return end > at && text[end - 1] === '\r' ? end - 1 : end
}

function lineEndOf(text: string): string {
  const first = text.indexOf('\n')
  return first > 0 && text[first - 1] === '\r' ? '\r\n' : '\n'
}

/** The text with the file's own line ends. */
function inLineEnds(lines: string, text: string): string {
  return lines.replace(/\r?\n/g, lineEndOf(text))
}
