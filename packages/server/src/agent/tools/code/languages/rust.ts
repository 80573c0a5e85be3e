import type { Node } from 'web-tree-sitter'
import {
  baseName,
  body,
  type Container,
  declaration,
  enclosing,
  type Language,
  member,
  none,
  outermost,
  type Role,
  type Rule,
  reference,
  type SymbolKind,
  type Use,
  uncertain,
  words,
} from '../language.ts'

const methodLike: Rule = {
  kind: (_, container) => (isModule(container) ? 'function' : 'method'),
}

const rules: Readonly<Record<string, Rule>> = {
  struct_item: { kind: 'struct', members: body },
  union_item: { kind: 'union', members: body },
  enum_item: { kind: 'enum', members: body },
  enum_variant: { kind: 'enum_member' },
  field_declaration: { kind: 'field' },
  trait_item: { kind: 'trait', members: body },
  impl_item: { kind: 'impl', names: implName, members: body, memberPath: implType },
  function_item: methodLike,
  function_signature_item: methodLike,
  const_item: { kind: 'constant' },
  static_item: { kind: staticKind },
  type_item: { kind: 'type' },
  associated_type: { kind: 'type' },
  mod_item: { kind: 'module', members: body },
  macro_definition: { kind: 'macro' },
}

function isModule({ kind }: Container): boolean {
  return kind === 'file' || kind === 'module'
}

function staticKind(node: Node): SymbolKind {
  return node.children.some((child) => child.type === 'mutable_specifier') ? 'variable' : 'constant'
}

function implType(node: Node): string {
  return baseName(node.childForFieldName('type')?.text ?? '')
}

/** `impl S` or `impl Tr for S`. */
function implName(node: Node) {
  const trait = node.childForFieldName('trait')
  const of = trait === null ? '' : `${baseName(trait.text)} for `
  return [{ text: `impl ${of}${implType(node)}`, node: null }]
}

const names = new Set([
  ...['identifier', 'type_identifier', 'field_identifier', 'shorthand_field_identifier'],
])

const patterns = new Set([
  ...['tuple_pattern.', 'tuple_struct_pattern.', 'mut_pattern.', 'ref_pattern.', 'slice_pattern.'],
  ...['captured_pattern.', 'or_pattern.', 'reference_pattern.', 'field_pattern.pattern'],
  ...['match_pattern.', 'struct_pattern.'],
])

const bound = new Set([
  ...['let_declaration.pattern', 'parameter.pattern', 'closure_parameters.', 'match_arm.pattern'],
  ...['for_expression.pattern', 'let_condition.pattern'],
])

const declares = new Set([
  ...['struct_item.name', 'union_item.name', 'enum_item.name', 'trait_item.name'],
  ...['function_item.name', 'function_signature_item.name', 'const_item.name', 'static_item.name'],
  ...['type_item.name', 'associated_type.name', 'mod_item.name', 'macro_definition.name'],
  ...['type_parameter.name', 'const_parameter.name', 'use_as_clause.alias', 'enum_variant.name'],
])

const imports = new Set(['use_declaration'])

/** Names whose place alone says what they are. */
const special: Readonly<Record<string, (use: Use) => Role>> = {
  'label.': () => none,
  'lifetime.': () => none,
  'attribute.': () => none,
  'token_tree.': tokenRole,
  'macro_invocation.macro': macroRole,
  'field_expression.field': ({ place }) => member(place.parent.childForFieldName('value')),
  'scoped_identifier.name': ({ place }) => member(place.parent.childForFieldName('path')),
  'scoped_type_identifier.name': ({ place }) => member(place.parent.childForFieldName('path')),
  'field_initializer.field': ({ place }) => member(literalOf(place.parent)),
  'field_pattern.name': ({ node, place }) =>
    node.type === 'shorthand_field_identifier'
      ? shorthand(place.parent, true)
      : member(literalOf(place.parent)),
  'shorthand_field_initializer.': ({ place }) => shorthand(place.parent, false),
  'field_declaration.name': () => member(null),
  'tuple_struct_pattern.type': plainRole,
  'struct_pattern.type': plainRole,
}

function role(use: Use): Role {
  const { node, place, symbol } = use
  // What a `use` brings into scope may be the symbol, or another one.
  if (enclosing(node, imports) !== null)
    return place.key === 'use_wildcard.' ? reference : uncertain
  const found = special[place.key]?.(use)
  if (found !== undefined) return found
  if (declares.has(place.key)) return declaration
  // A constant or a unit struct in a pattern is compared with; nothing may be bound by its name.
  const isConstant = symbol.kind === 'constant' || symbol.kind === 'struct'
  const isBound = !isConstant && bound.has(outermost(place, patterns).key)
  return isBound ? declaration : plainRole(use)
}

/** A variant alone is known by a `use` only; so is anything of another module. */
function plainRole({ node, symbol }: Use): Role {
  if (symbol.kind === 'macro') return none
  if (symbol.kind === 'enum_member') return uncertain
  return symbol.isMember || isInScope(node, symbol) ? reference : uncertain
}

function shorthand(field: Node, declares: boolean): Role {
  return { is: 'shorthand', qualifier: literalOf(field)?.text ?? '', declares }
}

/** In the symbol's own module, or in one right below that imports everything of its parent. */
function isInScope(node: Node, symbol: Use['symbol']): boolean {
  const own = moduleOf(symbol.declaration)?.id
  const module = moduleOf(node)
  if (module?.id === own) return true
  return module !== null && moduleOf(module)?.id === own && module.text.includes('use super::*')
}

function moduleOf(node: Node): Node | null {
  return enclosing(node, modules)
}

const modules = new Set(['mod_item'])

const literals = new Set(['struct_expression', 'struct_pattern'])

function literalOf(node: Node): Node | null {
  const literal = enclosing(node, literals)
  return literal?.childForFieldName('name') ?? literal?.childForFieldName('type') ?? null
}

/** Macros have names of their own; `name!` is one of those, and nothing else is. */
function macroRole({ symbol }: Use): Role {
  return symbol.kind === 'macro' ? reference : none
}

/** What a macro is given is a row of tokens: what stands beside a name says what it is. */
function tokenRole(use: Use): Role {
  const { node, symbol } = use
  // `#[derive(Name)]` runs a macro, which often has a trait's name.
  if (enclosing(node, attributes) !== null) return uncertain
  const { before, after } = textAround(node)
  if (/^\s*![^=]/.test(after)) return macroRole(use)
  const qualified = /(?:^|[^\w])(\w+)\s*(?:\.|::)\s*$/.exec(before)
  if (qualified !== null) return { is: 'member', qualifier: qualified[1] ?? '' }
  if (/(?:\.|::)\s*$/.test(before)) return { is: 'member', qualifier: '' }
  // `name:` may be a field of a literal.
  if (symbol.isMember && /^\s*:(?!:)/.test(after)) return { is: 'member', qualifier: '' }
  return plainRole(use)
}

const attributes = new Set(['attribute_item', 'inner_attribute_item'])

/** Characters before and after a name that are looked at. */
const lookChars = 200

function textAround({ parent, startIndex, endIndex }: Node): { before: string; after: string } {
  const text = parent?.text ?? ''
  const [start, end] = [startIndex, endIndex].map((at) => at - (parent?.startIndex ?? 0))
  return {
    before: text.slice(Math.max(0, (start ?? 0) - lookChars), start),
    after: text.slice(end, (end ?? 0) + lookChars),
  }
}

const holders = new Set(['impl_item', 'trait_item', 'struct_item', 'enum_item', 'union_item'])

/** `self`, `Self` in the type's own blocks, or its name; of a module, its path's last name. */
function owns({ node, symbol }: Use, qualifier: string): boolean {
  if (symbol.isMember) return ownsMember(node, symbol, baseName(qualifier))
  const own = moduleOf(symbol.declaration)
  const module = moduleOf(node)
  if (qualifier === 'self') return module?.id === own?.id
  if (qualifier === 'super') return module !== null && moduleOf(module)?.id === own?.id
  const last = qualifier.split('::').at(-1)
  return own !== null && last === own.childForFieldName('name')?.text
}

function ownsMember(node: Node, symbol: Use['symbol'], name: string): boolean {
  if (name === symbol.containerName) return true
  if (name !== 'self' && name !== 'Self') return false
  const holder = enclosing(node, holders)
  if (holder === null) return false
  const own =
    holder.type === 'impl_item' ? implType(holder) : holder.childForFieldName('name')?.text
  return own === symbol.containerName
}

export const rust: Language = {
  name: 'Rust',
  grammar: 'rust',
  extensions: ['rs'],
  rules,
  through: new Set([...['source_file', 'declaration_list', 'foreign_mod_item']]),
  wrappers: new Set(),
  attached: new Set(['attribute_item']),
  names,
  reserved: words(
    'as async await break const continue crate dyn else enum extern false fn for gen if impl in ' +
      'let loop match mod move mut pub ref return self Self static struct super trait true type ' +
      'unsafe use where while abstract become box do final macro override priv try typeof ' +
      'unsized virtual yield _',
  ),
  role,
  owns,
}
