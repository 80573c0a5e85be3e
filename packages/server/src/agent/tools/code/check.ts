import type { Node, Tree } from 'web-tree-sitter'
import { CodeRefused } from './bounds.ts'
import type { Change, CodeEdit, Edited } from './edit.ts'
import { type Located, outlineOf, type Source } from './outline.ts'
import { occurrences } from './rename.ts'

/** What a text is judged by before an edit; its tree is no longer needed then. */
export interface Before {
  readonly symbols: readonly Located[]
  readonly broken: readonly Broken[]
}

/**
 * Throws `CodeRefused` when an edit leaves a text worse than it was: with a part that does not parse
 * and did before, with another symbol than the edited one gone, moved or new, or with a new name that
 * is none.
 */
export function checkEdit(
  before: Before,
  { changes, target, edit }: Edited & { readonly edit: CodeEdit },
  after: Source,
): void {
  const known = new Set(before.broken.map((part) => keyOf(part, changes)))
  const broken = brokenParts(after.tree).find((part) => !known.has(keyOf(part, [])))
  if (broken !== undefined)
    throw new CodeRefused(`With this edit the file no longer parses: ${broken.says}.`)
  const symbols = outlineOf(after)
  if (edit.operation === 'rename') {
    const found = occurrences(after, edit.newName)
    const isSame = String(before.symbols.map(kindOf)) === String(symbols.map(kindOf))
    if (found.length !== changes.length || !isSame)
      throw new CodeRefused(`${edit.newName} is not a name everywhere that it would stand.`)
  } else checkOthers({ old: before.symbols, symbols, target, change: changes[0] })
}

function kindOf({ symbol }: Located): string {
  return symbol.kind
}

/** A part of a tree that the parser had to leave out, or to make up. */
interface Broken {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly says: string
}

/** Broken parts that are looked for; beyond them a text is not edited. */
const brokenMax = 1000

/** What of a text does not parse, in order. */
export function brokenParts(tree: Tree): Broken[] {
  const found: Broken[] = []
  const cursor = tree.walk()
  try {
    for (let isMore = true; isMore; ) {
      const node = cursor.currentNode
      if (node.isError || node.isMissing) {
        if (found.length === brokenMax)
          throw new CodeRefused(`More than ${brokenMax} parts of it do not parse.`)
        found.push(brokenPart(node))
      }
      isMore = node.hasError && cursor.gotoFirstChild()
      while (!isMore && !cursor.gotoNextSibling()) if (!cursor.gotoParent()) return found
      isMore = true
    }
    return found
  } finally {
    cursor.delete()
  }
}

/** Characters of what does not parse that a refusal shows. */
const brokenCharsMax = 60

function brokenPart(node: Node): Broken {
  const line = node.startPosition.row + 1
  const text = JSON.stringify(node.text.slice(0, brokenCharsMax))
  return {
    type: node.isMissing ? `missing ${node.type}` : 'error',
    start: node.startIndex,
    end: node.endIndex,
    says: node.isMissing ? `line ${line} lacks ${node.type}` : `line ${line} has ${text}`,
  }
}

/** A broken part's place after the changes; one that was changed has none. */
function keyOf({ type, start, end }: Broken, changes: readonly Change[]): string {
  let [first, last] = [start, end]
  for (const change of changes) {
    const isInside = (at: number): boolean => at > change.start && at < change.end
    if (isInside(start) || isInside(end)) return 'changed'
    const delta = change.text.length - (change.end - change.start)
    if (start >= change.end) first += delta
    if (end >= change.end && end > change.start) last += delta
  }
  return `${type} ${first} ${last}`
}

/** The symbols beside the edited one stay what they are, and new ones stand where it stands. */
function checkOthers(o: {
  readonly old: readonly Located[]
  readonly symbols: readonly Located[]
  readonly target: Located
  readonly change: Change | undefined
}): void {
  const { start, end, text } = o.change ?? { start: 0, end: 0, text: '' }
  const isWithin =
    (stop: number) =>
    (located: Located): boolean =>
      located.start >= start && located.end <= stop
  const [wasEdited, isNew] = [isWithin(end), isWithin(start + text.length)]
  const others = new Set(o.old.filter((located) => !wasEdited(located)).map(identityOf))
  const lost = new Set(others)
  for (const located of o.symbols) {
    const identity = identityOf(located)
    lost.delete(identity)
    if (isNew(located)) continue
    if (!others.has(identity))
      throw new CodeRefused(`The edit would turn other code into ${identity}.`)
  }
  const [gone] = lost
  if (gone !== undefined)
    throw new CodeRefused(`The edit would change ${gone}, which stands beside it.`)
  const [first] = o.symbols.filter(isNew)
  if (first !== undefined && first.around !== o.target.around)
    throw new CodeRefused(
      `The edit would put ${identityOf(first)} out of ${o.target.around || 'the file'}: mind the indentation.`,
    )
}

function identityOf({ symbol }: Located): string {
  return `${symbol.kind} ${symbol.path}`
}
