import type { Node } from 'web-tree-sitter'
import {
  body,
  declaration,
  enclosing,
  fieldNames,
  type Language,
  member,
  none,
  outermost,
  type Place,
  placeOf,
  type Role,
  type Rule,
  reference,
  type Use,
  uncertain,
  words,
} from '../language.ts'

const rules: Readonly<Record<string, Rule>> = {
  class_definition: { kind: 'class', members: body },
  function_definition: {
    kind(node, container) {
      if (container.kind !== 'class') return 'function'
      return node.childForFieldName('name')?.text === '__init__' ? 'constructor' : 'method'
    },
  },
  assignment: {
    kind: (_, container) => (container.kind === 'class' ? 'field' : 'variable'),
    names: (node) =>
      fieldNames(node, 'left').filter(({ node: left }) => left?.type === 'identifier'),
  },
  type_alias_statement: { kind: 'type', names: aliasName },
}

function aliasName(node: Node) {
  const left = node.childForFieldName('left')
  const name = left?.descendantsOfType('identifier')[0] ?? null
  return name === null ? [] : [{ text: name.text, node: name }]
}

const names = new Set(['identifier'])

const patterns = new Set([
  ...['pattern_list.', 'tuple_pattern.', 'list_pattern.', 'list_splat_pattern.'],
  ...['dictionary_splat_pattern.', 'default_parameter.name', 'typed_default_parameter.name'],
  ...['typed_parameter.', 'tuple.', 'list.'],
])

const declares = new Set([
  ...['function_definition.name', 'class_definition.name', 'parameters.', 'lambda_parameters.'],
  ...['assignment.left', 'augmented_assignment.left', 'for_statement.left', 'for_in_clause.left'],
  ...['named_expression.name', 'as_pattern_target.', 'as_pattern.', 'splat_pattern.'],
  ...['aliased_import.alias'],
])

function role(use: Use): Role {
  const { place } = use
  const { parent, key } = place
  if (key === 'attribute.attribute') return member(parent.childForFieldName('object'))
  if (key === 'keyword_argument.name' || key === 'keyword_pattern.') return keywordRole(use)
  if (parent.type === 'dotted_name') return dottedRole(use.node, place)
  if (isTypeParameter(parent)) return declaration
  if (declares.has(outermost(place, patterns).key)) return declaration
  // In a class body, but in none of its functions, a plain name may be the class's own.
  const frame = enclosing(use.node, frames)
  if (frame?.type !== 'class_definition') return reference
  return use.symbol.isMember || hasOwn(frame, use.node.text) ? uncertain : reference
}

function hasOwn(holder: Node, name: string): boolean {
  return holder.descendantsOfType('identifier').some((node) => {
    const place = node.text === name ? placeOf(node) : null
    if (place === null || enclosing(node, frames)?.id !== holder.id) return false
    return declares.has(outermost(place, patterns).key)
  })
}

const frames = new Set(['class_definition', 'function_definition', 'lambda'])

/** `f(name=…)`: a parameter of `f`, or a field of a class that makes its own `__init__`. */
function keywordRole({ node, place }: Use): Role {
  const isValue = place.key === 'keyword_pattern.' && place.parent.firstNamedChild?.id !== node.id
  return isValue ? reference : { is: 'member', qualifier: '' }
}

function dottedRole(node: Node, dotted: Place): Role {
  const { parent } = dotted
  const isFirst = parent.firstNamedChild?.id === node.id
  const above = parent.parent
  const around = above?.type ?? ''
  if (around === 'import_statement') return isFirst ? declaration : none
  if (around === 'import_from_statement') {
    const module = above?.childForFieldName('module_name')
    return module?.id === parent.id ? none : declaration
  }
  if (around === 'aliased_import' || around === 'relative_import') return none
  if (around === 'future_import_statement') return none
  if (!isFirst) return member(parent.firstNamedChild)
  // A single name in a `case` captures; a dotted one, and the name of a class, is looked up.
  return around === 'case_pattern' && parent.namedChildCount === 1 ? declaration : reference
}

/** `def f[T]`, `class C[T]`, `type A[T]`, and the alias's own name: not the `T` in `list[T]`. */
function isTypeParameter(parent: Node): boolean {
  if (parent.type === 'generic_type') return parent.parent?.parent?.type === 'type_alias_statement'
  const list = parent.parent
  if (parent.type !== 'type' || list === null) return false
  if (list.type === 'type_alias_statement') return list.childForFieldName('left')?.id === parent.id
  if (list.type !== 'type_parameter') return false
  const owner = list.parent
  if (owner?.type !== 'generic_type') return true
  const alias = owner.parent?.parent
  return (
    alias?.type === 'type_alias_statement' &&
    alias.childForFieldName('left')?.id === owner.parent?.id
  )
}

const classes = new Set(['class_definition'])

/** `self` and `cls` in the class itself, or the class's name. */
function owns({ node, symbol }: Use, qualifier: string): boolean {
  if (!symbol.isMember) return false
  if (qualifier === symbol.containerName) return true
  if (qualifier !== 'self' && qualifier !== 'cls') return false
  return enclosing(node, classes)?.id === enclosing(symbol.declaration, classes)?.id
}

export const python: Language = {
  name: 'Python',
  grammar: 'python',
  extensions: ['py', 'pyi'],
  rules,
  through: new Set([
    ...['module', 'block', 'decorated_definition', 'expression_statement', 'if_statement'],
    ...['elif_clause', 'else_clause', 'try_statement', 'except_clause', 'finally_clause'],
    ...['with_statement'],
  ]),
  wrappers: new Set(['decorated_definition', 'expression_statement']),
  attached: new Set(['decorator']),
  names,
  reserved: words(
    'False None True and as assert async await break class continue def del elif else except ' +
      'finally for from global if import in is lambda nonlocal not or pass raise return try ' +
      'while with yield',
  ),
  role,
  owns,
}
