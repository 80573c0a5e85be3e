import type { Node } from 'web-tree-sitter'
import {
  body,
  type Container,
  type DeclaredName,
  declaration,
  enclosing,
  type Language,
  member,
  none,
  outermost,
  type Place,
  type Role,
  type Rule,
  reference,
  type SymbolKind,
  type Use,
  words,
} from '../language.ts'

const functionTypes = new Set(['arrow_function', 'function_expression', 'generator_function'])

const method: Rule = {
  kind: (node) =>
    node.childForFieldName('name')?.text === 'constructor' ? 'constructor' : 'method',
  names: (node) => keyNames(node.childForFieldName('name')),
}
const field: Rule = {
  kind: 'field',
  names: (node) => keyNames(node.childForFieldName('name') ?? node.childForFieldName('property')),
}
const enumMember: Rule = {
  kind: 'enum_member',
  // In an enum its name may stand alone; elsewhere such a node is a piece of something broken.
  names: (node) => {
    if (node.type === 'enum_assignment') return keyNames(node.childForFieldName('name'))
    return node.parent?.type === 'enum_body' ? keyNames(node) : []
  },
}
/** What `export default` may stand before without a name. */
const exported: Rule = {
  kind: (node) => (node.type === 'class' ? 'class' : 'function'),
  names(node) {
    if (node.parent?.type !== 'export_statement') return []
    const name = node.childForFieldName('name')
    return [{ text: name?.text ?? 'default', node: name }]
  },
  members: (node) => (node.type === 'class' ? body(node) : null),
}

const rules: Readonly<Record<string, Rule>> = {
  class_declaration: { kind: 'class', members: body },
  abstract_class_declaration: { kind: 'class', members: body },
  interface_declaration: { kind: 'interface', members: body },
  enum_declaration: { kind: 'enum', members: body },
  internal_module: { kind: 'module', names: moduleName, members: body },
  module: { kind: 'module', names: moduleName, members: body },
  // The block of `declare global { … }`; any other is a statement.
  statement_block: {
    kind: 'module',
    names: (node) => (isAmbient(node) ? [{ text: 'global', node: null }] : []),
    members: (node) => node,
  },
  type_alias_declaration: { kind: 'type' },
  function_declaration: { kind: 'function' },
  generator_function_declaration: { kind: 'function' },
  function_signature: { kind: 'function' },
  variable_declarator: {
    kind: variableKind,
    names: (node) =>
      node.childForFieldName('name')?.type === 'identifier'
        ? keyNames(node.childForFieldName('name'))
        : [],
    members(node) {
      const value = node.childForFieldName('value')
      return value?.type === 'class' ? body(value) : null
    },
  },
  method_definition: method,
  method_signature: method,
  abstract_method_signature: method,
  public_field_definition: field,
  field_definition: field,
  property_signature: field,
  enum_assignment: enumMember,
  property_identifier: enumMember,
  string: enumMember,
  function_expression: exported,
  generator_function: exported,
  arrow_function: exported,
  class: exported,
  // `exports.f = function () {}`
  assignment_expression: {
    kind: (node) => (node.childForFieldName('right')?.type === 'class' ? 'class' : 'function'),
    names(node) {
      const left = node.childForFieldName('left')
      const right = node.childForFieldName('right')?.type ?? ''
      if (left?.type !== 'member_expression') return []
      return functionTypes.has(right) || right === 'class' ? [{ text: left.text, node: null }] : []
    },
  },
}

const through = new Set([
  ...['program', 'export_statement', 'ambient_declaration', 'expression_statement'],
  ...['lexical_declaration', 'variable_declaration'],
  ...['class_body', 'interface_body', 'enum_body'],
])
const wrappers = new Set([
  ...['export_statement', 'ambient_declaration', 'expression_statement'],
  ...['lexical_declaration', 'variable_declaration'],
])
const attached = new Set(['decorator'])

function isAmbient(node: Node): boolean {
  return node.parent?.type === 'ambient_declaration'
}

function variableKind(node: Node, _: Container): SymbolKind {
  const value = node.childForFieldName('value')?.type ?? ''
  if (functionTypes.has(value)) return 'function'
  if (value === 'class') return 'class'
  return node.parent?.childForFieldName('kind')?.text === 'const' ? 'constant' : 'variable'
}

/** A key's name: of a string what it says, of a computed one its text; these are not renamed. */
function keyNames(key: Node | null): DeclaredName[] {
  if (key === null) return []
  if (key.type === 'string') return [{ text: key.text.slice(1, -1), node: null }]
  return [{ text: key.text, node: names.has(key.type) ? key : null }]
}

function moduleName(node: Node): DeclaredName[] {
  return keyNames(node.childForFieldName('name'))
}

const names = new Set([
  ...['identifier', 'type_identifier', 'property_identifier', 'private_property_identifier'],
  ...['shorthand_property_identifier', 'shorthand_property_identifier_pattern'],
])

/** As names of variables, functions and types; a member may have any of them. */
const reserved = words(
  'break case catch class const continue debugger default delete do else enum export extends ' +
    'false finally for function if implements import in instanceof interface let new null ' +
    'package private protected public return static super switch this throw true try typeof ' +
    'var void while with yield await arguments eval undefined',
)

const patterns = new Set([
  ...['array_pattern.', 'object_pattern.', 'rest_pattern.', 'pair_pattern.value'],
  ...['assignment_pattern.left', 'object_assignment_pattern.left'],
])

const declares = new Set([
  ...['class_declaration.name', 'abstract_class_declaration.name', 'class.name'],
  ...['interface_declaration.name', 'type_alias_declaration.name', 'enum_declaration.name'],
  ...['internal_module.name', 'module.name', 'type_parameter.name', 'mapped_type_clause.name'],
  ...['infer_type.', 'infer_type.right', 'variable_declarator.name'],
  ...['function_declaration.name', 'generator_function_declaration.name'],
  ...['function_signature.name', 'function_expression.name', 'generator_function.name'],
  ...['formal_parameters.', 'required_parameter.pattern', 'optional_parameter.pattern'],
  ...['arrow_function.parameter', 'catch_clause.parameter', 'index_signature.name'],
  ...['import_specifier.alias', 'import_clause.', 'namespace_import.', 'import_require_clause.'],
])

/** Names whose place alone does not say what they are. */
const special: Readonly<Record<string, (use: Use) => Role>> = {
  'member_expression.property': ({ place }) => member(place.parent.childForFieldName('object')),
  'nested_identifier.property': ({ place }) => member(place.parent.childForFieldName('object')),
  'nested_type_identifier.name': ({ place }) => member(place.parent.childForFieldName('module')),
  'import_specifier.name': ({ place }) =>
    place.parent.childForFieldName('alias') === null ? declaration : none,
  'export_specifier.name': ({ place }) => (isReExport(place.parent) ? none : reference),
  'export_specifier.alias': () => none,
  'namespace_export.': () => none,
  'tuple_parameter.name': () => none,
  // `import a = b.c`
  'import_alias.': ({ node, place }) =>
    place.parent.firstNamedChild?.id === node.id ? declaration : reference,
}

function role(use: Use): Role {
  const { node, place } = use
  switch (node.type) {
    case 'shorthand_property_identifier':
      return { is: 'shorthand', qualifier: '', declares: false }
    case 'shorthand_property_identifier_pattern':
      return { is: 'shorthand', qualifier: '', declares: isDeclared(place) }
    case 'private_property_identifier':
      return member(null)
    default: {
      const found = special[place.key]?.(use)
      if (found !== undefined) return found
      // A key of somebody's object, or of somebody's props.
      if (node.type === 'property_identifier') return member(null)
      return isDeclared(place) ? declaration : reference
    }
  }
}

function isDeclared(place: Place): boolean {
  const { parent, key } = outermost(place, patterns)
  if (key === 'for_in_statement.left') return parent.childForFieldName('kind') !== null
  return declares.has(key)
}

function isReExport(specifier: Node): boolean {
  const statement = enclosing(specifier, new Set(['export_statement']))
  return statement?.childForFieldName('source') != null
}

const ownThis = new Set([
  ...['function_declaration', 'generator_function_declaration', 'function_expression'],
  ...['generator_function', 'method_definition', 'class_static_block'],
  ...['class_declaration', 'abstract_class_declaration', 'class'],
])
const classes = new Set(['class_declaration', 'abstract_class_declaration', 'class'])

/**
 * Of a member: `this` in a method of the class itself that is static as the member is; the class's or the enum's
 * name before a static member. A private name (`#x`) is the class's whatever stands before it.
 */
function owns({ node, symbol }: Use, qualifier: string): boolean {
  if (!symbol.isMember) return isModule(qualifier, symbol.containerName)
  const holder = enclosing(
    symbol.declaration,
    new Set([...classes, 'interface_declaration', 'enum_declaration']),
  )
  if (node.type === 'private_property_identifier') {
    const around = enclosing(node, classes)
    return around !== null && around.id === holder?.id
  }
  const isStatic = holder?.type === 'enum_declaration' || hasStatic(symbol.declaration)
  if (isStatic) return qualifier === symbol.containerName
  if (qualifier !== 'this') return false
  const frame = enclosing(node, ownThis)
  // A field's initial value has the class around it for its frame.
  if (frame !== null && classes.has(frame.type))
    return frame.id === holder?.id && !inStaticField(node)
  if (frame?.type !== 'method_definition' || hasStatic(frame)) return false
  return frame.parent?.type === 'class_body' && enclosing(frame, classes)?.id === holder?.id
}

/** `N` and `M.N` are before a name of the namespace N; nothing is before one of the file. */
function isModule(qualifier: string, name: string): boolean {
  return name !== '' && (qualifier === name || qualifier.endsWith(`.${name}`))
}

function hasStatic(node: Node): boolean {
  return node.children.some((child) => child.type === 'static')
}

function inStaticField(node: Node): boolean {
  const field = enclosing(node, new Set(['public_field_definition', 'field_definition']))
  return field !== null && hasStatic(field)
}

/** JavaScript, TypeScript and their JSX forms: one set of node types, three grammars. */
export const javascript = dialect('JavaScript', 'javascript', ['js', 'jsx', 'mjs', 'cjs'])
export const typescript = dialect('TypeScript', 'typescript', ['ts', 'mts', 'cts'])
export const tsx = dialect('TSX', 'tsx', ['tsx'])

function dialect(name: string, grammar: string, extensions: readonly string[]): Language {
  return {
    name,
    grammar,
    extensions,
    rules,
    through,
    wrappers,
    attached,
    names,
    reserved,
    role,
    owns,
  }
}
