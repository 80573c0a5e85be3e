import type { Node } from 'web-tree-sitter'
import { CodeRefused, occurrencesMax } from './bounds.ts'
import type { Change } from './edit.ts'
import { enclosing, placeOf, type Role, type Use } from './language.ts'
import type { Located, Source } from './outline.ts'

interface Renaming {
  readonly symbols: readonly Located[]
  readonly target: Located
  readonly newName: string
}

/**
 * Renames a symbol where its own file uses it: the declaration, and every name that the syntax alone
 * says is that binding. Other files, strings and comments stay as they are.
 *
 * - What belongs to the file or a module is renamed wherever its plain name stands, and behind a path
 *   that names its module. `{ name }` becomes `{ name: newName }`. Like-named members stay.
 * - What belongs to a type is renamed behind `this`, `self`, `cls`, `Self`, a Go receiver in the type
 *   itself, and behind the type's name; in Java also where it stands alone in its own class.
 *
 * Refused, since only types could tell: a second binding of the name anywhere in the file (shadowed,
 * overloaded, imported, assigned again in Python), a member behind anything else (`x.name`), a like
 * key of somebody's literal, a new name that the file has already, a name that is not one.
 */
export function rename(source: Source, renaming: Renaming): Change[] {
  const { target, newName } = renaming
  const { nameNode, symbol } = target
  if (nameNode === null || symbol.kind === 'constructor')
    throw new CodeRefused(`${symbol.path} has no name of its own that could be renamed.`)
  checkName(newName, nameNode, source)
  const [taken] = occurrences(source, newName)
  if (taken !== undefined)
    throw new CodeRefused(`${newName} is used already, on line ${lineOf(taken)}.`)
  const problems: string[] = []
  const changes: Change[] = []
  for (const node of occurrences(source, nameNode.text)) {
    const verdict = judge(source, renaming, node)
    if (typeof verdict === 'string') problems.push(`${verdict} on line ${lineOf(node)}`)
    else if (verdict !== null) changes.push(verdict)
  }
  if (problems.length === 0) return changes
  const shown = problems.slice(0, problemsMax).join('; ')
  throw new CodeRefused(`${symbol.path} is not renamed, its uses are not clear: ${shown}.`)
}

/** Problems that a refusal names. */
const problemsMax = 10

/** The change of one occurrence; null: it is another thing's name; a string: why nobody can tell. */
function judge(source: Source, renaming: Renaming, node: Node): Change | string | null {
  const { symbols, target, newName } = renaming
  if (node.id === target.nameNode?.id) return changed(node, newName)
  const other = symbols.find(({ nameNode }) => nameNode?.id === node.id)
  // Java keeps names of methods, variables and types apart: there the role says more.
  if (other !== undefined && source.language.plainMembers !== true)
    return other.isMember === target.isMember ? `${other.symbol.path} is declared` : null
  if (enclosing(node, errors) !== null) return 'the file does not parse'
  const place = placeOf(node)
  if (place === null) return null
  const { container, kind } = target.symbol
  const symbol = {
    ...{ kind, isMember: target.isMember, declaration: target.node },
    containerName: container.split('.').at(-1) ?? '',
  }
  const use: Use = { node, place, symbol }
  const role = source.language.role(use)
  const judged = { role, use, newName, symbols }
  return target.isMember ? memberUse(source, judged) : plainUse(source, judged)
}

const errors = new Set(['ERROR'])

interface Judged {
  readonly role: Role
  readonly use: Use
  readonly newName: string
  readonly symbols: readonly Located[]
}

/** A use of what belongs to the file or a module. */
function plainUse(source: Source, judged: Judged): Change | string | null {
  const { role, use, newName } = judged
  const { node } = use
  switch (role.is) {
    case 'none':
      return null
    case 'uncertain':
      return 'it is unclear whose the name is'
    case 'declaration':
      return 'the name is declared again'
    case 'reference':
      return isOutside(use) ? 'the name is used outside of its module' : changed(node, newName)
    case 'member':
      if (!source.language.owns(use, role.qualifier)) return null
      if (isShadowed(source, judged, role.qualifier)) return 'its module is declared again'
      return changed(node, newName)
    case 'shorthand':
      if (role.declares) return 'the name is declared again'
      return changed(node, `${node.text}: ${newName}`)
  }
}

/** Names of the file are known in its modules; a module's own are not known around it. */
function isOutside({ node, symbol }: Use): boolean {
  if (symbol.containerName === '') return false
  const module = enclosing(symbol.declaration, containers)
  return module !== null && (node.startIndex < module.startIndex || node.endIndex > module.endIndex)
}

const containers = new Set([
  ...['internal_module', 'module', 'mod_item', 'class_declaration', 'interface_declaration'],
  ...['enum_declaration', 'record_declaration', 'annotation_type_declaration'],
])

/** A use of what belongs to a type. */
function memberUse(source: Source, judged: Judged): Change | string | null {
  const { language } = source
  const { role, use, newName } = judged
  const { node } = use
  const isOwn =
    (role.is === 'member' || role.is === 'shorthand') &&
    language.owns(use, role.qualifier) &&
    !isShadowed(source, judged, role.qualifier)
  const isPlain = language.plainMembers === true
  switch (role.is) {
    case 'none':
      return null
    case 'uncertain':
      return 'it is unclear whose the name is'
    case 'declaration':
      return isPlain ? 'the name is declared again' : null
    case 'reference':
      if (!isPlain) return null
      return isOutside(use) ? 'the name is used outside of its class' : changed(node, newName)
    case 'member':
      if (isOwn) return changed(node, newName)
      return `it is unclear whether ${behind(role.qualifier)} is a ${use.symbol.containerName}`
    case 'shorthand':
      if (isOwn) return changed(node, `${newName}: ${node.text}`)
      return `it is unclear whether ${behind(role.qualifier)} is a ${use.symbol.containerName}`
  }
}

/** Whether more than the type itself is declared by its name: `function f(A) { A.name }`. */
function isShadowed(source: Source, { use, symbols }: Judged, qualifier: string): boolean {
  const name = use.symbol.containerName
  if (name === '' || !qualifier.includes(name)) return false
  const known = symbols.filter(
    ({ symbol }) => symbol.name === name && symbol.kind !== 'constructor',
  )
  const named = new Set(symbols.map(({ nameNode }) => nameNode?.id))
  const symbol = { ...use.symbol, kind: 'class', isMember: false, containerName: '' } as const
  const isOther = occurrences(source, name).some((node) => {
    const place = named.has(node.id) ? null : placeOf(node)
    return place !== null && source.language.role({ node, place, symbol }).is === 'declaration'
  })
  return isOther || known.length > 1
}

/** Characters of a qualifier that a refusal shows. */
const qualifierCharsMax = 60

function behind(qualifier: string): string {
  if (qualifier === '') return 'what has this key'
  const line = qualifier.replace(/\s+/g, ' ')
  return line.length > qualifierCharsMax ? `${line.slice(0, qualifierCharsMax)}…` : line
}

function changed(node: Node, text: string): Change {
  return { start: node.startIndex, end: node.endIndex, text }
}

/** Every leaf of the tree that is this name, in order. */
export function occurrences({ tree, text, language }: Source, name: string): Node[] {
  const found: Node[] = []
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + name.length)) {
    const node = tree.rootNode.descendantForIndex(at, at + name.length)
    const isName =
      node !== null &&
      node.startIndex === at &&
      node.endIndex === at + name.length &&
      language.names.has(node.type)
    if (!isName) continue
    if (found.length === occurrencesMax)
      throw new CodeRefused(`${name} occurs more than ${occurrencesMax} times.`)
    found.push(node)
  }
  return found
}

/** What all six languages take for a name; `#` only where the old name has it, too. */
function checkName(newName: string, old: Node, { language }: Source): void {
  const isPrivate = old.text.startsWith('#')
  const plain = isPrivate ? newName.replace(/^#/, '') : newName
  const isName = /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(plain)
  // A key may be any word.
  const isFree = old.type.endsWith('property_identifier') || !language.reserved.has(plain)
  if (isPrivate === newName.startsWith('#') && isName && isFree) return
  throw new CodeRefused(`${JSON.stringify(newName.slice(0, 100))} is no name here.`)
}

function lineOf(node: Node): number {
  return node.startPosition.row + 1
}
