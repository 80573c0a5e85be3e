import { basename } from 'node:path'
import type { z } from 'zod'
import type { Mistake } from '../json-file/mistakes.ts'
import { inputSchema, type ObjectField } from './input.ts'
import { isReserved } from './reserved.ts'
import { fieldsOf, parseArgument, parseUrlTemplate } from './template.ts'

/** What the file is checked against. */
export interface Surroundings {
  /** The server's variables, where the secrets are. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The content of a file beside the tools file, or the sentence that says what was expected. */
  readonly readBeside: (name: string) => { readonly text: string } | string
  /** Whether plain http may go there. */
  readonly plainAllowed: (target: { readonly host: string; readonly port: number }) => boolean
}

const kinds = ['command', 'http', 'mcp'] as const

/**
 * What one tool's fields must be to each other. It looks at the file as it came, each part by
 * itself, so that a mistake in one part hides none in another.
 */
export function checkTool(raw: unknown, path: Path, around: Surroundings): Mistake[] {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return []
  const name = textIn(raw, 'name')
  const given = kinds.filter((kind) => valueIn(raw, kind) !== undefined)
  const found: Mistake[] = []
  const reserved = 'expected a name that is not reserved for built-in tools'
  if (isReserved(name)) found.push({ path: [...path, 'name'], expected: reserved })
  if (given.length !== 1) {
    const came = given.length === 0 ? 'none' : given.join(' and ')
    found.push({ path, expected: 'expected one of command, http and mcp', came })
  }
  return [...found, ...given.flatMap((kind) => checkKind(kind, { raw, path, around }))]
}

function checkKind(
  kind: (typeof kinds)[number],
  { raw, path, around }: Part & { readonly around: Surroundings },
): Mistake[] {
  const part = { raw: valueIn(raw, kind), path: [...path, kind] }
  if (kind === 'mcp') return checkMcp(part, { raw, path, around })
  const input = inputSchema.safeParse(valueIn(raw, 'input') ?? nothing).data
  const check = kind === 'command' ? checkCommand : checkHttp
  const found = check(part, { input, path, around })
  if (valueIn(raw, 'description') !== undefined) return found
  return [{ path: [...path, 'description'], expected: 'expected a text for the agent' }, ...found]
}

/** Every name once, also where the tools are wrong otherwise. */
export function checkNames(tools: readonly unknown[]): Mistake[] {
  const seen = new Set<string>()
  return tools.flatMap((raw, index) => {
    const name = textIn(raw, 'name')
    if (name === '' || !seen.has(name)) {
      seen.add(name)
      return []
    }
    return [{ path: ['tools', index, 'name'], expected: 'expected a name that no other tool has' }]
  })
}

type Path = readonly PropertyKey[]
interface Part {
  readonly raw: unknown
  readonly path: Path
}
interface Owner {
  readonly input: ObjectField | undefined
  readonly path: Path
  readonly around: Surroundings
}

const nothing: z.input<typeof inputSchema> = { type: 'object', properties: {}, required: [] }

function checkCommand({ raw, path }: Part, { input, path: tool, around }: Owner): Mistake[] {
  const found = checkArgv({ raw: valueIn(raw, 'argv'), path: [...path, 'argv'] }, around)
  const stdin = valueIn(raw, 'stdin') === true
  const used: string[] = []
  for (const { argument, place } of argumentsIn(valueIn(raw, 'argv'), path)) {
    if (argument?.kind !== 'field') continue
    used.push(argument.name)
    const field = input?.properties[argument.name]
    const isText = field !== undefined && isFlat(field.type === 'array' ? field.items : field)
    if (stdin) found.push({ path: place, expected: 'expected no field where stdin is true' })
    else if (input !== undefined && (!isText || !input.required.includes(argument.name)))
      found.push({ path: place, expected: `expected a field that is required, and plain` })
  }
  if (!stdin && Array.isArray(valueIn(raw, 'argv'))) found.push(...unused(input, used, tool))
  return found
}

function checkHttp({ raw, path }: Part, { input, path: tool, around }: Owner): Mistake[] {
  const { found, template } = checkUrl({ raw: valueIn(raw, 'url'), path: [...path, 'url'] }, around)
  found.push(...checkHeaders({ raw, path }, around))
  const withBody = valueIn(raw, 'body') === 'json'
  if (withBody && textIn(raw, 'method') === 'GET')
    found.push({ path: [...path, 'body'], expected: 'expected none for a GET' })
  if (template === null || input === undefined) return found
  const fields = fieldsOf(template)
  for (const name of [...fields.path, ...fields.query]) {
    const field = input.properties[name]
    const expected = `expected {${name}} to be a plain field of the input`
    if (field === undefined || !isFlat(field)) found.push({ path: [...path, 'url'], expected })
    else if (fields.path.includes(name) && !input.required.includes(name)) {
      const required = `expected {${name}}, in the path, to be a required field`
      found.push({ path: [...path, 'url'], expected: required })
    }
  }
  if (!withBody) found.push(...unused(input, [...fields.path, ...fields.query], tool))
  return found
}

function checkMcp(
  { raw, path }: Part,
  tool: { readonly raw: unknown; readonly path: Path; readonly around: Surroundings },
): Mistake[] {
  const found = present(tool, ['description', 'input'], 'expected none: an MCP server has its own')
  const [argv, url] = [valueIn(raw, 'argv'), valueIn(raw, 'url')]
  if ((argv === undefined) === (url === undefined)) {
    const came = argv === undefined ? 'neither' : 'both'
    found.push({ path, expected: 'expected either argv or url', came })
  }
  if (argv !== undefined) found.push(...checkLocalServer({ raw, path }, tool.around))
  if (url !== undefined) found.push(...checkRemoteServer({ raw, path }, tool.around))
  return found
}

function checkLocalServer({ raw, path }: Part, around: Surroundings): Mistake[] {
  const argv = valueIn(raw, 'argv')
  const fields = argumentsIn(argv, path).filter(({ argument }) => argument?.kind === 'field')
  const expected = 'expected no field: a server has no input'
  return [
    ...checkArgv({ raw: argv, path: [...path, 'argv'] }, around),
    ...fields.map(({ place }) => ({ path: place, expected })),
    ...present({ raw, path }, ['headers', 'secret_headers'], 'expected none without url'),
  ]
}

function checkRemoteServer({ raw, path }: Part, around: Surroundings): Mistake[] {
  const place = [...path, 'url']
  const { found, template } = checkUrl({ raw: valueIn(raw, 'url'), path: place }, around)
  const fields = template === null ? [] : Object.values(fieldsOf(template)).flat()
  if (fields.length > 0)
    found.push({ path: place, expected: 'expected no {field}: a server has no input' })
  return [
    ...found,
    ...checkHeaders({ raw, path }, around),
    ...present({ raw, path }, ['env'], 'expected none without argv'),
  ]
}

/** A mistake for each of these that is there. */
function present({ raw, path }: Part, names: readonly string[], expected: string): Mistake[] {
  return names
    .filter((name) => valueIn(raw, name) !== undefined)
    .map((name) => ({ path: [...path, name], expected }))
}

function checkArgv({ raw, path }: Part, around: Surroundings): Mistake[] {
  const all = argumentsIn(raw, path.slice(0, -1))
  return all.flatMap(({ argument, text, place }, index): Mistake[] => {
    if (argument === null)
      return [{ path: place, expected: 'expected a placeholder to be the whole argument' }]
    if (index === 0 && (argument.kind !== 'text' || argument.text === ''))
      return [{ path: place, expected: 'expected the name of a program' }]
    // What a shell takes for its program must be the operator's.
    const before = all.slice(0, index).map((each) => each.text)
    if (argument.kind === 'field' && isShellProgram(before))
      return [{ path: place, expected: 'expected a fixed text: a shell would run it' }]
    if (argument.kind !== 'file') return []
    const beside = around.readBeside(argument.name)
    return typeof beside === 'string' ? [{ path: place, expected: beside, came: text }] : []
  })
}

const shells = ['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'fish']

/** Whether what comes next is the text that a shell runs, also one that something else starts. */
function isShellProgram(before: readonly string[]): boolean {
  return /^[-+]/.test(before.at(-1) ?? '') && before.some((text) => shells.includes(basename(text)))
}

function checkUrl({ raw, path }: Part, around: Surroundings) {
  const found: Mistake[] = []
  if (typeof raw !== 'string') return { found, template: null }
  const template = parseUrlTemplate(raw)
  if (typeof template === 'string') {
    found.push({ path, expected: template })
    return { found, template: null }
  }
  const { protocol, hostname, port } = new URL(template.origin)
  const target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) }
  if (protocol === 'http:' && !around.plainAllowed(target))
    found.push({ path, expected: 'expected https, or http to what GATEWAY_ALLOW_PRIVATE lists' })
  return { found, template }
}

/** Set by us, or of the connection. */
const ownHeaders = new Set(
  'accept-encoding connection content-length content-type expect host keep-alive te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
)

function checkHeaders({ raw, path }: Part, { env }: Surroundings): Mistake[] {
  const plain = recordIn(raw, 'headers')
  const secret = recordIn(raw, 'secret_headers')
  const placed = [
    ...Object.keys(plain).map((name) => ({ name, place: [...path, 'headers', name] })),
    ...Object.keys(secret).map((name) => ({ name, place: [...path, 'secret_headers', name] })),
  ]
  return [
    ...placed
      .filter(({ name }) => ownHeaders.has(name) || name.startsWith('proxy-'))
      .map(({ place }) => ({
        path: place,
        expected: "expected a header that is not the server's",
      })),
    ...Object.keys(secret)
      .filter((name) => name in plain)
      .map((name) => ({
        path: [...path, 'secret_headers', name],
        expected: 'expected a header that `headers` does not have',
      })),
    ...Object.entries(secret).flatMap(([name, value]) =>
      checkSecret({ raw: value, path: [...path, 'secret_headers', name, 'env'] }, env),
    ),
  ]
}

/**
 * A secret of fewer than 8 characters cannot be told from other text, and would be taken out of every
 * answer. The value is not repeated, only how long it is.
 */
function checkSecret({ raw, path }: Part, env: Surroundings['env']): Mistake[] {
  const variable = textIn(raw, 'env')
  const value = env[variable] ?? ''
  if (variable === '' || /^[\x21-\x7e]{8,4096}$/.test(value)) return []
  const expected =
    'expected a variable of the server that is set, to 8 to 4096 printable characters without spaces'
  const came = value === '' ? `${variable}, which is not` : `one of ${value.length} characters`
  return [{ path, expected, came }]
}

/** A field that nothing uses would mislead the agent. */
function unused(input: ObjectField | undefined, used: readonly string[], tool: Path): Mistake[] {
  return Object.keys(input?.properties ?? {})
    .filter((name) => !used.includes(name))
    .map((name) => ({
      path: [...tool, 'input', 'properties', name],
      expected: 'expected a field that the tool uses',
    }))
}

function argumentsIn(raw: unknown, path: Path) {
  if (!Array.isArray(raw)) return []
  return raw.map((each: unknown, index) => {
    const text = typeof each === 'string' ? each : ''
    return { text, argument: parseArgument(text), place: [...path, 'argv', index] }
  })
}

function isFlat({ type }: { readonly type: string }): boolean {
  return type !== 'array' && type !== 'object'
}

function valueIn(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

function textIn(value: unknown, name: string): string {
  const found = valueIn(value, name)
  return typeof found === 'string' ? found : ''
}

function recordIn(value: unknown, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(Object(valueIn(value, name))))
}
