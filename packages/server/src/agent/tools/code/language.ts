import type { Node } from 'web-tree-sitter'

/** What a symbol is, in one word for all languages. */
export type SymbolKind =
  | 'annotation'
  | 'class'
  | 'constant'
  | 'constructor'
  | 'enum'
  | 'enum_member'
  | 'field'
  | 'function'
  | 'impl'
  | 'interface'
  | 'macro'
  | 'method'
  | 'module'
  | 'record'
  | 'struct'
  | 'trait'
  | 'type'
  | 'union'
  | 'variable'

/** One programming language: its grammar, and how its syntax tree says what is declared and used. */
export interface Language {
  readonly name: string
  /** File of the grammar: `tree-sitter-<grammar>.wasm`. */
  readonly grammar: string
  /** Of file names, lower case, without the dot. */
  readonly extensions: readonly string[]
  /** Node types that declare something. */
  readonly rules: Readonly<Record<string, Rule>>
  /** Node types between a container and what it declares. */
  readonly through: ReadonlySet<string>
  /** Node types around one declaration that are part of it: `export`, decorators, `const`. */
  readonly wrappers: ReadonlySet<string>
  /** Types of the siblings above a declaration that are part of it: decorators, attributes. */
  readonly attached: ReadonlySet<string>
  /** Types of the leaves that are names. */
  readonly names: ReadonlySet<string>
  /** Words that are no names; the parsers take some of them for names all the same. */
  readonly reserved: ReadonlySet<string>
  /** A member is known in its class by its name alone, as in Java. Default: it is not. */
  readonly plainMembers?: boolean
  /** What a name is in its place. Decides what a rename touches, and what it refuses. */
  role(use: Use): Role
  /**
   * Whether `qualifier`, before a member's name, is an object or type that the member belongs to:
   * `this`, `self`, the class's own name. False means that nobody can tell without types.
   */
  owns(use: Use, qualifier: string): boolean
}

/** How the declarations of one node type are listed. */
export interface Rule {
  readonly kind: SymbolKind | ((node: Node, container: Container) => SymbolKind)
  /** The declared names; none: nothing is listed. Default: the field `name`. */
  readonly names?: (node: Node) => readonly DeclaredName[]
  /** The node whose children are this symbol's members. Default: it has none. */
  readonly members?: (node: Node) => Node | null
  /** The path that members stand below, where it is not the symbol's own. */
  readonly memberPath?: (node: Node) => string
  /** The path of the container, where it is not the one around: a Go method's receiver. */
  readonly container?: (node: Node) => string | null
}

/** A name that is declared, and its node; without a node it cannot be renamed. */
export interface DeclaredName {
  readonly text: string
  readonly node: Node | null
}

/** What a symbol stands in: a class, a module, the file. */
export interface Container {
  /** Names from the outermost on, joined with dots; empty for the file. */
  readonly path: string
  /** `file`, or the container's kind. */
  readonly kind: SymbolKind | 'file'
}

/** One occurrence of the name that is to be renamed. */
export interface Use {
  readonly node: Node
  readonly place: Place
  /** The symbol that is renamed. */
  readonly symbol: {
    readonly kind: SymbolKind
    /** It belongs to a type, not to the file or to a module. */
    readonly isMember: boolean
    /** Last name of the container's path. */
    readonly containerName: string
    /** The declaring node. */
    readonly declaration: Node
  }
}

/** Where a node stands in its parent. */
export interface Place {
  readonly parent: Node
  /** Type of the parent and field: `call_expression.function`; nothing after the dot: no field. */
  readonly key: string
}

/**
 * What a name is in one place:
 * `declaration` another binding of that name;
 * `reference` a use of the binding that is in scope;
 * `member` a use behind a qualifier (`x.name`, a key of a literal of `x`; '' when nothing says whose);
 * `shorthand` one name for a key and for a variable: `{ name }`; `declares` when it makes the variable;
 * `none` a name of another sort: a label, a key that is no member, a module's own name;
 * `uncertain` the syntax alone does not say what.
 */
export type Role =
  | { readonly is: 'declaration' | 'reference' | 'none' | 'uncertain' }
  | { readonly is: 'member'; readonly qualifier: string }
  | { readonly is: 'shorthand'; readonly qualifier: string; readonly declares: boolean }

export const declaration: Role = { is: 'declaration' }
export const reference: Role = { is: 'reference' }
export const none: Role = { is: 'none' }
export const uncertain: Role = { is: 'uncertain' }
/** A use behind a qualifier, by the text of its node. */
export const member = (qualifier: Node | null): Role => ({
  is: 'member',
  qualifier: qualifier?.text ?? '',
})

/** A type's name without its arguments and pointer signs: `S<T>` and `*S[K]` are `S`. */
export function baseName(text: string): string {
  return text
    .replace(/^[&*(\s]+/, '')
    .replace(/(::)?\s*[<[].*$/s, '')
    .replace(/[)\s]+$/, '')
}

/** Where a node stands; null for the root. */
export function placeOf(node: Node): Place | null {
  const { parent } = node
  if (parent === null) return null
  const cursor = parent.walk()
  try {
    let isChild = cursor.gotoFirstChildForIndex(node.startIndex)
    while (isChild && cursor.nodeId !== node.id) isChild = cursor.gotoNextSibling()
    return { parent, key: `${parent.type}.${(isChild ? cursor.currentFieldName : null) ?? ''}` }
  } finally {
    cursor.delete()
  }
}

/** The nearest node above of one of these types. */
export function enclosing(node: Node, types: ReadonlySet<string>): Node | null {
  for (let at = node.parent; at !== null; at = at.parent) if (types.has(at.type)) return at
  return null
}

/** The place of a pattern as a whole: from a name up through whatever destructures. */
export function outermost(place: Place, patterns: ReadonlySet<string>): Place {
  let at = place
  while (patterns.has(at.key)) {
    const above = placeOf(at.parent)
    if (above === null) return at
    at = above
  }
  return at
}

/** A set of words from one text. */
export function words(text: string): ReadonlySet<string> {
  return new Set(text.split(' '))
}

/** The names in a field of a node that may be there more than once. */
export function fieldNames(node: Node, field = 'name'): DeclaredName[] {
  return node
    .childrenForFieldName(field)
    .filter((child) => child.isNamed)
    .map((child) => ({ text: child.text, node: child }))
}

export const body = (node: Node): Node | null => node.childForFieldName('body')
