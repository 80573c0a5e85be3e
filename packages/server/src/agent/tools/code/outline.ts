import type { Node, Tree } from 'web-tree-sitter'
import { CodeRefused, depthMax, symbolsMax } from './bounds.ts'
import {
  type Container,
  fieldNames,
  type Language,
  type Rule,
  type SymbolKind,
} from './language.ts'

/** One declaration of a file. Lines count from 1; the last one is part of it. */
export interface CodeSymbol {
  readonly kind: SymbolKind
  readonly name: string
  /** Path of what it stands in; empty for the file. */
  readonly container: string
  /** The container's path and the name, joined with a dot. */
  readonly path: string
  readonly startLine: number
  readonly endLine: number
  /** The declaration up to its body, in one line. */
  readonly signature: string
}

/** A symbol and where it is in the text; positions count UTF-16 units, as strings do. */
export interface Located {
  readonly symbol: CodeSymbol
  /** With its decorators and `export`. */
  readonly start: number
  readonly end: number
  /** The node that declares it, and the name's own. */
  readonly node: Node
  readonly nameNode: Node | null
  /** It belongs to a type, not to the file or to a module. */
  readonly isMember: boolean
  /** Path of what it stands in: of a Go method that is the file, not its type. */
  readonly around: string
}

/** Characters of a signature, and those of the text from which it is made. */
const signatureCharsMax = 160
const signatureReadChars = 1600

/**
 * The declarations of a file, in the order of the text: those of the file, of its modules and types,
 * nested as deep as they are; not those in the bodies of functions. What stands in a part that does
 * not parse is listed as far as it is recognized.
 */
export function outlineOf(source: Source): Located[] {
  const found: Located[] = []
  const root = source.tree.rootNode
  collect({ ...source, found }, { node: root, chain: [], above: null }, { path: '', kind: 'file' })
  return found
}

/** A text and its tree. */
export interface Source {
  readonly language: Language
  readonly text: string
  readonly tree: Tree
}

interface Collecting extends Source {
  readonly found: Located[]
}

interface At {
  readonly node: Node
  /** The nodes above, the nearest last. */
  readonly chain: readonly Node[]
  /** The first of the decorators or attributes that stand right above it. */
  readonly above: Node | null
}

function collect(into: Collecting, { node, chain, above }: At, container: Container): void {
  const { rules, through, attached } = into.language
  if (chain.length > depthMax) throw new CodeRefused(`It is nested more than ${depthMax} deep.`)
  const below = [...chain, node]
  let leading = above
  for (const child of node.namedChildren) {
    if (attached.has(child.type)) {
      leading ??= child
      continue
    }
    const at = { node: child, chain: below, above: leading }
    const rule = rules[child.type]
    if (rule !== undefined) declared(into, { ...at, rule }, container)
    else if (through.has(child.type) || child.isError) collect(into, at, container)
    leading = null
  }
}

function declared(into: Collecting, at: At & { readonly rule: Rule }, around: Container): void {
  const { node, rule } = at
  const outside = rule.container?.(node) ?? null
  const container = outside === null ? around : { path: outside, kind: 'struct' as const }
  const kind = typeof rule.kind === 'string' ? rule.kind : rule.kind(node, container)
  const names = rule.names?.(node) ?? fieldNames(node)
  const extent = extentOf(at, into.language)
  for (const { text: name, node: nameNode } of names) {
    if (into.found.length === symbolsMax)
      throw new CodeRefused(`It declares more than ${symbolsMax} symbols.`)
    into.found.push({
      symbol: {
        ...{ kind, name, container: container.path, path: joined(container, name) },
        startLine: extent.startLine,
        endLine: extent.endLine,
        signature: signatureOf(node, into.text),
      },
      ...{ start: extent.start, end: extent.end, node, nameNode },
      isMember: container.kind !== 'file' && container.kind !== 'module',
      around: around.path,
    })
  }
  const first = names[0]
  const members = rule.members?.(node) ?? null
  if (members === null || first === undefined) return
  const path = joined(container, rule.memberPath?.(node) ?? first.text)
  collect(into, { node: members, chain: [...at.chain, node], above: null }, { path, kind })
}

function joined({ path }: Container, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

/** From the first decorator or attribute to the end of whatever is around this declaration alone. */
function extentOf({ node, chain, above }: At, { wrappers }: Language) {
  let outer = node
  for (const wrapper of chain.toReversed()) {
    if (!wrappers.has(wrapper.type) || !isAlone(outer, wrapper)) break
    outer = wrapper
  }
  const first = above ?? outer
  const { row, column } = outer.endPosition
  return {
    start: first.startIndex,
    end: outer.endIndex,
    startLine: first.startPosition.row + 1,
    // A node may take its line's end along, which is not one more line.
    endLine: Math.max(outer.startPosition.row, column === 0 ? row - 1 : row) + 1,
  }
}

function isAlone(node: Node, wrapper: Node): boolean {
  return !wrapper.namedChildren.some(({ id, type }) => type === node.type && id !== node.id)
}

function signatureOf(node: Node, text: string): string {
  const value = node.childForFieldName('value')
  const body = node.childForFieldName('body') ?? value?.childForFieldName('body')
  const end = Math.min(body?.startIndex ?? node.endIndex, node.startIndex + signatureReadChars)
  const whole = text.slice(node.startIndex, end)
  const shown = body == null ? (whole.split(/\r?\n/, 1)[0] ?? '') : whole
  const line = shown.replace(/\s+/g, ' ').trim()
  return line.length <= signatureCharsMax
    ? line
    : `${line.slice(0, signatureCharsMax).toWellFormed()}…`
}
