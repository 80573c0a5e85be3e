import type { Node } from 'web-tree-sitter'
import {
  body,
  type DeclaredName,
  declaration,
  enclosing,
  fieldNames,
  type Language,
  member,
  none,
  type Place,
  type Role,
  type Rule,
  reference,
  type Use,
  uncertain,
  words,
} from '../language.ts'

const fields: Rule = {
  kind: 'field',
  names: (node) => node.childrenForFieldName('declarator').flatMap(declaratorNames),
}

function declaratorNames(declarator: Node): DeclaredName[] {
  return declarator.isNamed ? fieldNames(declarator) : []
}

const rules: Readonly<Record<string, Rule>> = {
  class_declaration: { kind: 'class', members: body },
  interface_declaration: { kind: 'interface', members: body },
  enum_declaration: { kind: 'enum', members: body },
  record_declaration: { kind: 'record', members: body },
  annotation_type_declaration: { kind: 'annotation', members: body },
  enum_constant: { kind: 'enum_member' },
  constructor_declaration: { kind: 'constructor' },
  compact_constructor_declaration: { kind: 'constructor' },
  method_declaration: { kind: 'method' },
  annotation_type_element_declaration: { kind: 'method' },
  field_declaration: fields,
  constant_declaration: fields,
}

const names = new Set(['identifier', 'type_identifier'])

/** Places of the three sorts of names that Java keeps apart; anything else is a variable's. */
const methodPlaces = new Set([
  ...['method_invocation.name', 'method_declaration.name', 'element_value_pair.key'],
  ...['annotation_type_element_declaration.name'],
])
const declaredTypes = new Set([
  ...['class_declaration.name', 'interface_declaration.name', 'enum_declaration.name'],
  ...['record_declaration.name', 'annotation_type_declaration.name', 'type_parameter.'],
])
const constructors = new Set([
  ...['constructor_declaration.name', 'compact_constructor_declaration.name'],
])
const declaredVariables = new Set([
  ...['variable_declarator.name', 'formal_parameter.name', 'catch_formal_parameter.name'],
  ...['enhanced_for_statement.name', 'resource.name', 'inferred_parameters.'],
  ...['lambda_expression.parameters', 'instanceof_expression.name', 'type_pattern.'],
  ...['record_pattern_component.', 'enum_constant.name'],
])
const labels = new Set(['labeled_statement.', 'break_statement.', 'continue_statement.'])

function role(use: Use): Role {
  const { node, place, symbol } = use
  if (labels.has(place.key) || isPackage(node)) return none
  if (enclosing(node, new Set(['import_declaration'])) !== null) return importRole(place)
  if (symbol.kind === 'method') return methodRole(use)
  if (isMethodName(node, place)) return none
  return symbol.kind === 'field' || symbol.kind === 'enum_member' ? fieldRole(use) : typeRole(use)
}

function isPackage(node: Node): boolean {
  return enclosing(node, new Set(['package_declaration'])) !== null
}

/** `import a.b.Name` brings another thing of that name into the file; the `a` and `b` do not. */
function importRole({ parent, key }: Place): Role {
  const isLast = key === 'scoped_identifier.name' && parent.parent?.type === 'import_declaration'
  return isLast ? declaration : none
}

function isMethodName(node: Node, place: Place): boolean {
  return methodPlaces.has(place.key) || isReferenced(node, place)
}

/** The method of `qualifier::method`; `Type::new` has none. */
function isReferenced(node: Node, { parent }: Place): boolean {
  if (parent.type !== 'method_reference' || parent.namedChildCount < 2) return false
  return parent.lastNamedChild?.id === node.id
}

function methodRole(use: Use): Role {
  const { node, place } = use
  if (isReferenced(node, place)) return member(place.parent.firstNamedChild)
  if (!methodPlaces.has(place.key)) return none
  if (place.key === 'element_value_pair.key') return member(null)
  if (place.key !== 'method_invocation.name') return declaration
  const object = place.parent.childForFieldName('object')
  return object === null ? ownOrUncertain(use) : member(object)
}

function fieldRole(use: Use): Role {
  const { node, place } = use
  const { parent, key } = place
  if (node.type === 'type_identifier' || declaredTypes.has(key) || constructors.has(key))
    return none
  if (parent.type === 'annotation' || parent.type === 'marker_annotation') return none
  if (key === 'field_access.field') return member(parent.childForFieldName('object'))
  if (declaredVariables.has(key)) return declaration
  return parent.type === 'switch_label' ? uncertain : ownOrUncertain(use)
}

function typeRole({ node, place, symbol }: Use): Role {
  const { parent, key } = place
  if (constructors.has(key))
    return enclosing(node, holders)?.id === symbol.declaration.id ? reference : declaration
  if (declaredTypes.has(key) || declaredVariables.has(key)) return declaration
  if (key === 'field_access.field') return member(parent.childForFieldName('object'))
  const isQualified =
    parent.type === 'scoped_type_identifier' && parent.firstNamedChild?.id !== node.id
  if (isQualified) return member(parent.firstNamedChild)
  return key === 'scoped_identifier.name' ? member(parent.childForFieldName('scope')) : reference
}

const holders = new Set([
  ...['class_declaration', 'interface_declaration', 'enum_declaration', 'record_declaration'],
  ...['annotation_type_declaration', 'object_creation_expression', 'enum_constant'],
])

/** A plain name is the class's own member in the class itself; a class within may inherit another. */
function ownOrUncertain({ node, symbol }: Use): Role {
  return holderOf(node)?.id === holderOf(symbol.declaration)?.id ? reference : uncertain
}

/** The class whose body a node is in; an anonymous one is its `new`, if that has a body. */
function holderOf(node: Node): Node | null {
  let at = enclosing(node, holders)
  while (at !== null && isNoClass(at, node)) at = enclosing(at, holders)
  return at
}

/** Arguments of a `new` or of an enum's constant are outside of its body. */
function isNoClass(holder: Node, node: Node): boolean {
  if (holder.type !== 'object_creation_expression' && holder.type !== 'enum_constant') return false
  const own = holder.namedChildren.find(({ type }) => type === 'class_body')
  return own === undefined || node.startIndex < own.startIndex || node.endIndex > own.endIndex
}

/** `this` in the class itself, or the class's name. */
function owns({ node, symbol }: Use, qualifier: string): boolean {
  if (qualifier === symbol.containerName) return symbol.containerName !== ''
  return qualifier === 'this' && holderOf(node)?.id === holderOf(symbol.declaration)?.id
}

export const java: Language = {
  name: 'Java',
  grammar: 'java',
  extensions: ['java'],
  rules,
  through: new Set([
    ...['program', 'class_body', 'interface_body', 'enum_body', 'enum_body_declarations'],
    'annotation_type_body',
  ]),
  wrappers: new Set(),
  attached: new Set(),
  names,
  reserved: words(
    'abstract assert boolean break byte case catch char class const continue default do double ' +
      'else enum extends final finally float for goto if implements import instanceof int ' +
      'interface long native new package private protected public return short static strictfp ' +
      'super switch synchronized this throw throws transient try void volatile while true false ' +
      'null _ var yield record sealed permits',
  ),
  plainMembers: true,
  role,
  owns,
}
