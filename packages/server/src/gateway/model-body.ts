import { z } from 'zod'
import type { Price } from '../prices/list.ts'
import { type PriceTable, usOnlyFactor } from '../prices/price-table.ts'
import type { GatewayPolicy } from './policy.ts'
import { type Requested, tokensOf } from './usage.ts'

/** A checked request body, and the bytes that are sent for it. */
export interface ModelBody {
  readonly value: unknown
  /** Written anew from what was checked, so that no second reading can find something else. */
  readonly bytes: Buffer
  readonly requested: Requested
  /** The most this request can cost, in US dollars. */
  readonly worstUsd: number
}

/** Output when a request names none, which the API refuses anyway. */
const outputTokensDefault = 128_000
/** What one image costs at most, whatever its bytes: 4,784 by the API's rules, scaled to its size. */
const imageTokensMax = 5_000
/**
 * The longest prompt that any listed model takes. A PDF is billed by its pages, as text and as an
 * image of each, up to 600 of them: some 7,800 tokens a page. How many there are is compressed within
 * it, so that its bytes say nothing; the API refuses a prompt beyond this, and bills nothing then.
 */
const promptTokensMax = 1_000_000
/** Values in one body; 32 MiB of honest JSON have far fewer. */
const valuesMax = 2_000_000

/** What a session's requests may ask for. */
type ModelRules = Pick<NonNullable<GatewayPolicy['model']>, 'models' | 'fetches'> & {
  readonly prices: PriceTable
}

/**
 * Parses the body of a Messages request and refuses another model than those of the rules, and whatever would make the provider connect somewhere, run something or read stored files for the agent: a way out of the sandbox that no
 * wall sees. In doubt it refuses. `why` is a sentence.
 */
export function parseModelBody(
  raw: Buffer,
  rules: ModelRules,
): { body: ModelBody } | { why: string } {
  const parsed = parseJson(raw)
  if (!parsed.ok) return { why: 'The request body is not JSON.' }
  const request = messagesRequest.safeParse(parsed.value)
  if (!request.success) return { why: sentenceOf(request.error) }
  const why = problemOf(request.data, rules)
  if (why !== null) return { why }
  const scan = scanValues(parsed.value, rules)
  if (scan.why !== null) return { why: scan.why }
  const bytes = Buffer.from(JSON.stringify(parsed.value))
  const requested = {
    model: request.data.model,
    inputTokens: inputTokensOf(bytes, scan),
    usOnly: request.data.inference_geo !== 'global',
    outputTokensMax: request.data.max_tokens ?? outputTokensDefault,
  }
  const worstUsd = worstCase({ request: request.data, requested, bytes, prices: rules.prices })
  return { body: { value: parsed.value, bytes, requested, worstUsd } }
}

const maxTokens = z.int().nonnegative().max(1_000_000).nullish()
const speed = z.string().nullish()
const messagesRequest = z.looseObject({
  model: z.string().min(1).max(256),
  max_tokens: maxTokens,
  speed,
  inference_geo: z.string().nullish(),
  container: z.unknown().optional(),
  mcp_servers: z.array(z.unknown()).nullish(),
  tools: z.array(z.looseObject({ type: z.string().nullish() })).nullish(),
  fallbacks: z
    .union([
      z.literal('default'),
      z
        .array(z.looseObject({ model: z.string().min(1).max(256), max_tokens: maxTokens, speed }))
        .max(8),
    ])
    .nullish(),
})
type MessagesRequest = z.infer<typeof messagesRequest>

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

function problemOf(request: MessagesRequest, rules: ModelRules): string | null {
  if ((request.mcp_servers ?? []).length > 0)
    return 'mcp_servers is not allowed: it would let the provider connect on behalf of the agent.'
  if (request.container != null)
    return 'container is not allowed: code runs in the sandbox, not at the provider.'
  const fallbacks = Array.isArray(request.fallbacks) ? request.fallbacks : []
  const asked = [request, ...fallbacks].map(({ model }) => model)
  const pinned = pinProblem(asked, rules)
  if (pinned !== null) return pinned
  const unpriced = priceProblem(request, asked, rules)
  if (unpriced !== null) return unpriced
  if (rules.models !== undefined && request.fallbacks === 'default')
    return 'fallbacks must be named: this session is kept to its models.'
  if ([request, ...fallbacks].some((attempt) => (attempt.speed ?? 'standard') !== 'standard'))
    return 'speed must be standard: the budget is kept at standard prices.'
  for (const tool of request.tools ?? []) {
    const why = toolProblem(tool.type, rules)
    if (why !== null) return why
  }
  return null
}

function pinProblem(asked: readonly string[], { models }: ModelRules): string | null {
  const other = models === undefined ? undefined : asked.find((model) => !isAmong(model, models))
  if (other === undefined || models === undefined) return null
  return `The model ${JSON.stringify(other)} is not one of this session's: ${models.join(', ')}.`
}

/** A budget can only be kept with a price; the operator says whether a guess will do. */
function priceProblem(
  { fallbacks }: MessagesRequest,
  asked: readonly string[],
  { prices }: ModelRules,
): string | null {
  if (prices.unknownModel === 'dearest') return null
  const other = asked.find((model) => !prices.knows(model))
  if (fallbacks === 'default')
    return 'fallbacks must be named: UNKNOWN_MODEL refuses models without a known price.'
  if (other === undefined) return null
  return `The price of the model ${JSON.stringify(other)} is not known, and UNKNOWN_MODEL refuses such models: PRICES_FILE can name it.`
}

/** A name means itself, also with a provider before it and a date or a version behind. */
function isAmong(model: string, models: readonly string[]): boolean {
  return models.some((own) => {
    const name = /^[a-z]+$/.test(own)
      ? `claude-(?:${own}(?:-\\d{1,2}){0,2}|\\d-(?:\\d-)?${own})`
      : own.replaceAll(/[^\w]/g, '\\$&')
    return new RegExp(`^(?:[\\w.]+[./])?${name}(?:[-@]\\d{8})?(?:-v\\d+(?::\\d+)?)?$`).test(model)
  })
}

function toolProblem(type: unknown, { fetches = false }: ModelRules): string | null {
  if (type == null || (typeof type === 'string' && clientTool.test(type))) return null
  if (fetches && typeof type === 'string' && fetchTool.test(type)) return null
  return `The tool type ${JSON.stringify(type)} is not allowed: it would run at the provider.`
}

interface Scan {
  why: string | null
  images: number
  imageBytes: number
  /** True: something in it is billed by pages that nobody here can count. */
  hasPages: boolean
}

/** Walks every value the provider would interpret, without recursion: depth costs no stack. */
function scanValues(value: unknown, rules: ModelRules): Scan {
  const scan: Scan = { why: null, images: 0, imageBytes: 0, hasPages: false }
  const rest: unknown[] = [value]
  for (let seen = 0; rest.length > 0 && scan.why === null; seen += 1) {
    const next = rest.pop()
    if (seen > valuesMax) scan.why = 'The request body has too many values.'
    else if (Array.isArray(next)) pushObjects(rest, next)
    else if (typeof next === 'object' && next !== null) {
      scan.why = blockProblem(next, scan, rules)
      const own = Object.entries(next).filter(([name]) => !opaque.has(name))
      pushObjects(
        rest,
        own.map(([, child]) => child),
      )
    }
  }
  return scan
}

/** One by one: an array of the agent's may be longer than a call may have arguments. */
function pushObjects(rest: unknown[], values: readonly unknown[]): void {
  for (const value of values) if (typeof value === 'object' && value !== null) rest.push(value)
}

const block = z.looseObject({
  type: z.unknown().optional(),
  source: z.unknown().optional(),
  definition: z.unknown().optional(),
})
const source = z.looseObject({ type: z.unknown().optional(), data: z.unknown().optional() })

function blockProblem(value: object, scan: Scan, rules: ModelRules): string | null {
  const { type, source: given, definition } = block.parse(value)
  const { fetches = false } = rules
  if (typeof type === 'string' && serverSide.test(type) && !(fetches && fetchTool.test(type)))
    return `The type ${JSON.stringify(type)} is not allowed: it would run at the provider.`
  if (type === 'tool_definition') {
    const tool = block.safeParse(definition).data
    const why =
      tool === undefined ? 'A tool definition is not an object.' : toolProblem(tool.type, rules)
    if (why !== null) return why
  }
  const inline = source.safeParse(given).data
  if (inline === undefined) return null
  const mayBeUrl = fetches && inline.type === 'url'
  if (typeof inline.type !== 'string' || !(mayBeUrl || inlineSources.has(inline.type)))
    return `A source of type ${JSON.stringify(inline.type)} is not allowed: content must be in the request itself.`
  count(scan, type, inline)
  return null
}

/** What a source adds to the prompt beside its bytes, which count as text does unless it is an image. */
function count(scan: Scan, type: unknown, inline: z.infer<typeof source>): void {
  if (inline.type === 'text' || inline.type === 'content') return
  if (type !== 'image') scan.hasPages = true
  else {
    scan.images += 1
    if (typeof inline.data === 'string') scan.imageBytes += inline.data.length
  }
}

/** Rounded towards dear: what a request is admitted by, and billed if its answer says nothing. */
function inputTokensOf(bytes: Buffer, { images, imageBytes, hasPages }: Scan): number {
  const tokens = tokensOf(bytes.length - imageBytes) + images * imageTokensMax
  return hasPages ? Math.max(tokens, promptTokensMax) : tokens
}

/** Every attempt that the request allows may be billed: the model's own, and each fallback's. */
function worstCase(o: {
  readonly request: MessagesRequest
  readonly requested: Requested
  readonly bytes: Buffer
  readonly prices: PriceTable
}): number {
  const { request, requested } = o
  const own = { model: requested.model, max_tokens: requested.outputTokensMax }
  const fallbacks = request.fallbacks === 'default' ? [own] : (request.fallbacks ?? [])
  const factor = requested.usOnly ? usOnlyFactor : 1
  return [own, ...fallbacks].reduce((sum, attempt) => {
    const price = o.prices.priceOf(attempt.model, requested.inputTokens)
    const output = attempt.max_tokens ?? requested.outputTokensMax
    const input = inputPrice(price, o.bytes)
    return sum + (factor * (requested.inputTokens * input + output * price.output)) / 1_000_000
  }, 0)
}

function inputPrice(price: Price, bytes: Buffer): number {
  if (!bytes.includes('"cache_control"')) return price.input
  return bytes.includes('"1h"') ? price.cacheWriteHour : price.cacheWrite
}

function parseJson(raw: Buffer): { ok: true; value: unknown } | { ok: false } {
  try {
    return { ok: true, value: JSON.parse(raw.toString('utf8')) }
  } catch {
    return { ok: false }
  }
}

function sentenceOf(error: z.ZodError): string {
  const issue = error.issues[0]
  return `The request body is not valid at ${issue?.path.join('.') || 'its top'}: ${issue?.message ?? 'unknown'}.`
}
