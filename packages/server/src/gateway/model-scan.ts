import { excerpt } from './excerpt.ts'
import type { GatewayPolicy } from './policy.ts'

/** Characters of what was sent that a refusal repeats: a type may have as many as the body. */
const repeatedCharsMax = 100

/** Tools that the client runs itself, and the search among tools, which connects nowhere. */
const clientTool =
  /^(?:custom|(?:bash|text_editor|computer|memory|computer_toolset|browser_toolset)_\d{8}|tool_search_tool_(?:bm25|regex)(?:_\d{8})?)$/
/** Blocks and definitions that only a provider-side connection or container has a use for. */
const serverSide =
  /^(?:(?:web_search|web_fetch|code_execution|advisor)_\d{8}|mcp_.*|container_upload)$/
/** Priced by its tokens alone; a web search costs a fee besides, which the budget would not see. */
const fetchTool = /^web_fetch_\d{8}$/
const inlineSources = new Set(['base64', 'text', 'content'])
/** Below these the agent's own data begins, which the provider does not interpret. */
const opaque = new Set(['input', 'input_schema', 'input_examples', 'schema'])

type Fetching = Pick<NonNullable<GatewayPolicy['model']>, 'fetches'>

/** What a walk over a body found. */
export interface Scan {
  why: string | null
  images: number
  imageBytes: number
  /** True: something in it is billed by pages that nobody here can count. */
  hasPages: boolean
}

/**
 * Walks every value the provider would interpret, without recursion: depth costs no stack. By plain
 * checks: a schema library made objects of its own for each value, which took six times as long.
 */
export function scanValues(value: unknown, rules: Fetching): Scan {
  const scan: Scan = { why: null, images: 0, imageBytes: 0, hasPages: false }
  const rest: unknown[] = [value]
  while (rest.length > 0 && scan.why === null) {
    const next = rest.pop()
    if (Array.isArray(next)) for (const child of next) pushObject(rest, child)
    else if (typeof next === 'object' && next !== null) {
      scan.why = blockProblem(next, scan, rules)
      pushFields(rest, next)
    }
  }
  return scan
}

function pushFields(rest: unknown[], value: object): void {
  for (const name of Object.keys(value))
    if (!opaque.has(name)) pushObject(rest, fieldOf(value, name))
}

function pushObject(rest: unknown[], value: unknown): void {
  if (typeof value === 'object' && value !== null) rest.push(value)
}

function blockProblem(block: object, scan: Scan, rules: Fetching): string | null {
  const type = fieldOf(block, 'type')
  const { fetches = false } = rules
  if (typeof type === 'string' && serverSide.test(type) && !(fetches && fetchTool.test(type)))
    return `The type ${repeated(type)} is not allowed: it would run at the provider.`
  if (type === 'tool_definition') {
    const why = toolProblem(fieldOf(block, 'definition'), rules)
    if (why !== null) return why
  }
  const source = fieldOf(block, 'source')
  if (typeof source !== 'object' || source === null || Array.isArray(source)) return null
  const from = fieldOf(source, 'type')
  const mayBeUrl = fetches && from === 'url'
  if (typeof from !== 'string' || !(mayBeUrl || inlineSources.has(from)))
    return `A source of type ${repeated(from)} is not allowed: content must be in the request itself.`
  if (from !== 'text' && from !== 'content') count(scan, { type, data: fieldOf(source, 'data') })
  return null
}

/** What a source of other than text adds to the prompt beside its bytes. */
function count(scan: Scan, o: { readonly type: unknown; readonly data: unknown }): void {
  if (o.type !== 'image') scan.hasPages = true
  else {
    scan.images += 1
    if (typeof o.data === 'string') scan.imageBytes += o.data.length
  }
}

/** What would run at the provider among the tools of a request. */
export function toolsProblem(tools: unknown, rules: Fetching): string | null {
  if (tools == null) return null
  if (!Array.isArray(tools)) return 'The tools are not a list.'
  for (const tool of tools) {
    const why = toolProblem(tool, rules)
    if (why !== null) return why
  }
  return null
}

function toolProblem(tool: unknown, { fetches = false }: Fetching): string | null {
  if (typeof tool !== 'object' || tool === null || Array.isArray(tool))
    return 'A tool definition is not an object.'
  const type = fieldOf(tool, 'type')
  if (type == null || (typeof type === 'string' && clientTool.test(type))) return null
  if (fetches && typeof type === 'string' && fetchTool.test(type)) return null
  return `The tool type ${repeated(type)} is not allowed: it would run at the provider.`
}

function repeated(type: unknown): string {
  if (typeof type === 'string') return JSON.stringify(excerpt(type, repeatedCharsMax))
  return typeof type === 'object' && type !== null ? 'object' : String(type)
}

/** A field of what was parsed from JSON, whatever it is. */
export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
