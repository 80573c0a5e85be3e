import type { Node } from 'web-tree-sitter'
import {
  baseName,
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
  type SymbolKind,
  type Use,
  uncertain,
  words,
} from '../language.ts'

const rules: Readonly<Record<string, Rule>> = {
  function_declaration: { kind: 'function' },
  method_declaration: { kind: 'method', container: receiverType },
  const_spec: { kind: 'constant', names: fieldNames },
  var_spec: { kind: 'variable', names: fieldNames },
  type_spec: { kind: typeKind, members: typeMembers },
  type_alias: { kind: 'type' },
  field_declaration: { kind: 'field', names: fieldNames },
  method_elem: { kind: 'method' },
}

function typeKind(node: Node): SymbolKind {
  const type = node.childForFieldName('type')?.type
  if (type === 'struct_type') return 'struct'
  return type === 'interface_type' ? 'interface' : 'type'
}

function typeMembers(node: Node): Node | null {
  const type = node.childForFieldName('type')
  if (type?.type === 'interface_type') return type
  return type?.type === 'struct_type' ? type.firstNamedChild : null
}

function receiverOf(method: Node): Node | null {
  const list = method.childForFieldName('receiver')
  return list?.namedChildren.find((child) => child.type === 'parameter_declaration') ?? null
}

function receiverType(method: Node): string | null {
  const type = receiverOf(method)?.childForFieldName('type')
  return type == null ? null : baseName(type.text)
}

const patterns = new Set(['expression_list.'])

const declares = new Set([
  ...['function_declaration.name', 'method_declaration.name', 'const_spec.name', 'var_spec.name'],
  ...['type_spec.name', 'type_alias.name', 'parameter_declaration.name'],
  ...['variadic_parameter_declaration.name', 'type_parameter_declaration.name'],
  ...['short_var_declaration.left', 'range_clause.left', 'receive_statement.left'],
  ...['type_switch_statement.alias'],
])

function role({ node, place, symbol }: Use): Role {
  const { parent, key } = place
  if (key === 'selector_expression.field') return member(parent.childForFieldName('operand'))
  if (key === 'qualified_type.name' || node.type === 'package_identifier') return none
  // A field or method of a type that has no name, or stands in a function.
  if (node.type === 'field_identifier') return member(null)
  if (key === 'literal_element.' && isKey(parent)) return keyRole(parent, symbol)
  // An embedded type is a field of that name, too.
  if (isEmbedded(place)) return uncertain
  return isDeclared(place) ? declaration : reference
}

function isEmbedded({ parent, key }: Place): boolean {
  const isType = key === 'generic_type.type' || key === 'pointer_type.'
  const above = isType ? placeOf(parent) : null
  if (above !== null) return isEmbedded(above)
  return key === 'field_declaration.type' && parent.childForFieldName('name') === null
}

function isDeclared(place: Place): boolean {
  return declares.has(outermost(place, patterns).key)
}

function isKey(element: Node): boolean {
  const pair = element.parent
  return pair?.type === 'keyed_element' && pair.childForFieldName('key')?.id === element.id
}

/**
 * `T{name: 1}`: a field if T is a struct, an expression if it is a map or an array. A literal within
 * a literal may leave its type out.
 */
function keyRole(element: Node, { kind }: Use['symbol']): Role {
  const values = element.parent?.parent
  const literal = values?.parent
  const type = literal?.type === 'composite_literal' ? literal.childForFieldName('type') : null
  if (type !== null && expressionKeys.has(type.type)) return reference
  return kind === 'field' || kind === 'method' ? member(type) : uncertain
}

const expressionKeys = new Set([
  'map_type',
  'slice_type',
  'array_type',
  'implicit_length_array_type',
])

const methods = new Set(['method_declaration'])

/** The receiver of a method of the type, if nothing else in it has the receiver's name; the type. */
function owns({ node, symbol }: Use, qualifier: string): boolean {
  if (!symbol.isMember) return false
  if (baseName(qualifier) === symbol.containerName) return true
  const method = enclosing(node, methods)
  if (method === null || receiverType(method) !== symbol.containerName) return false
  if (receiverOf(method)?.childForFieldName('name')?.text !== qualifier) return false
  const declared = method.descendantsOfType('identifier').filter((name) => {
    const place = name.text === qualifier ? placeOf(name) : null
    return place !== null && isDeclared(place)
  })
  return declared.length === 1
}

export const go: Language = {
  name: 'Go',
  grammar: 'go',
  extensions: ['go'],
  rules,
  through: new Set([
    ...['source_file', 'const_declaration', 'var_declaration', 'var_spec_list'],
    ...['type_declaration', 'field_declaration_list'],
  ]),
  wrappers: new Set(['const_declaration', 'var_declaration', 'var_spec_list', 'type_declaration']),
  attached: new Set(),
  names: new Set(['identifier', 'type_identifier', 'field_identifier', 'package_identifier']),
  reserved: words(
    'break case chan const continue default defer else fallthrough for func go goto if import ' +
      'interface map package range return select struct switch type var nil true false iota _',
  ),
  role,
  owns,
}
