import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import type { Price } from '../prices/list.ts'
import { isModel, literally } from '../prices/model-name.ts'
import { type PriceTable, usOnlyFactor } from '../prices/price-table.ts'
import { fieldOf, type Scan, scanValues, toolsProblem } from './model-scan.ts'
import type { GatewayPolicy } from './policy.ts'
import { type Requested, tokensOf } from './usage.ts'

/** A checked request body, and the bytes that are sent for it. */
export interface ModelBody {
  /** Written anew from what was checked, so that no second reading can find something else. */
  readonly bytes: Buffer
  readonly requested: Requested
  /** The most this request can cost, in US dollars. */
  readonly worstUsd: number
  /** True: the answer is asked for as a stream. */
  readonly streams: boolean
  /** The ids of the tool calls of the turn before it. */
  readonly lastToolUses: readonly string[]
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
/** Attempts of one request beside its own; the API takes fewer. */
const fallbacksMax = 8

/** What a session's requests may ask for. */
export type ModelRules = Pick<NonNullable<GatewayPolicy['model']>, 'models' | 'fetches'> & {
  readonly prices: PriceTable
}

/** What became of a body. `why` is a sentence. */
export type ParsedBody = { readonly body: ModelBody } | { readonly why: string }

/**
 * Parses the body of a Messages request and refuses another model than those of the rules, and
 * whatever would make the provider connect somewhere, run something or read stored files for the
 * agent: a way out of the sandbox that no wall sees. In doubt it refuses. Nobody else has a turn
 * meanwhile: the caller has counted what the text becomes, and chosen the thread.
 */
export function parseModelBody(raw: Buffer, rules: ModelRules): ParsedBody {
  // What stands in place of other bytes would be three for each.
  if (!isUtf8(raw)) return { why: 'The request body is not JSON.' }
  const parsed = parseJson(raw.toString('utf8'))
  if (!parsed.ok) return { why: 'The request body is not JSON.' }
  const { value } = parsed
  const listed = listProblem(value)
  if (listed !== null) return { why: listed }
  const request = messagesRequest.safeParse(value)
  if (!request.success) return { why: sentenceOf(request.error) }
  const why = problemOf(request.data, rules) ?? toolsProblem(fieldOf(value, 'tools'), rules)
  if (why !== null) return { why }
  const scan = scanValues(value, rules)
  if (scan.why !== null) return { why: scan.why }
  const bytes = Buffer.from(JSON.stringify(value))
  return { body: bodyOf(value, { request: request.data, scan, bytes, prices: rules.prices }) }
}

function bodyOf(
  value: unknown,
  o: {
    readonly request: MessagesRequest
    readonly scan: Scan
    readonly bytes: Buffer
    readonly prices: PriceTable
  },
): ModelBody {
  const { request, bytes, prices } = o
  const requested = {
    model: request.model,
    inputTokens: inputTokensOf(bytes, o.scan),
    usOnly: request.inference_geo !== 'global',
    outputTokensMax: request.max_tokens ?? outputTokensDefault,
  }
  const worstUsd = worstCase({ request, requested, bytes, prices })
  const streams = fieldOf(value, 'stream') === true
  return { bytes, requested, worstUsd, streams, lastToolUses: lastToolUses(value) }
}

const maxTokens = z.int().nonnegative().max(1_000_000).nullish()
const speed = z.string().nullish()
const fallback = z.object({ model: z.string().min(1).max(256), max_tokens: maxTokens, speed })
/** Only what is listed here is looked at: the rest may be as much as the agent likes. */
const messagesRequest = z.object({
  model: z.string().min(1).max(256),
  max_tokens: maxTokens,
  speed,
  inference_geo: z.string().nullish(),
  container: z.unknown().optional(),
  fallbacks: z.union([z.literal('default'), z.array(fallback)]).nullish(),
})
type MessagesRequest = z.infer<typeof messagesRequest>

/** Looked at before any item of it. */
function listProblem(value: unknown): string | null {
  const servers = fieldOf(value, 'mcp_servers') ?? []
  if (!Array.isArray(servers) || servers.length > 0)
    return 'mcp_servers is not allowed: it would let the provider connect on behalf of the agent.'
  const fallbacks = fieldOf(value, 'fallbacks')
  return Array.isArray(fallbacks) && fallbacks.length > fallbacksMax
    ? `There may be ${fallbacksMax} fallbacks at most.`
    : null
}

function problemOf(request: MessagesRequest, rules: ModelRules): string | null {
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
  return null
}

/**
 * The tool calls of the last assistant message that the request carries: the turn before it.
 */
function lastToolUses(value: unknown): string[] {
  const messages = fieldOf(value, 'messages')
  if (!Array.isArray(messages)) return []
  const last = messages.findLast((message: unknown) => fieldOf(message, 'role') === 'assistant')
  const content = fieldOf(last, 'content')
  if (!Array.isArray(content)) return []
  return content
    .filter((block: unknown) => fieldOf(block, 'type') === 'tool_use')
    .map((block: unknown) => String(fieldOf(block, 'id')))
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

/** A word is a family of models, of whichever version. */
function isAmong(model: string, models: readonly string[]): boolean {
  return models.some((own) => {
    const family = `claude-(?:${own}(?:-\\d{1,2}){0,2}|\\d-(?:\\d-)?${own})`
    return isModel(model, /^[a-z]+$/.test(own) ? family : literally(own))
  })
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

function parseJson(text: string): { ok: true; value: unknown } | { ok: false } {
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    return { ok: false }
  }
}

function sentenceOf(error: z.ZodError): string {
  const issue = error.issues[0]
  return `The request body is not valid at ${issue?.path.join('.') || 'its top'}: ${issue?.message ?? 'unknown'}.`
}
