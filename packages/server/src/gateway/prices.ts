import type { Usage } from '@longhaul/client/contract'

/** Usage as the Messages API reports it, with the two fields that change its price. */
export interface BilledUsage extends Usage {
  /** Of `cache_creation_input_tokens`, those written for an hour instead of five minutes. */
  readonly hourCacheTokens?: number
  /** True: inference was bound to the United States, which costs a tenth more. */
  readonly usOnly?: boolean
}

/** US dollars per million tokens. */
export interface Price {
  readonly input: number
  readonly output: number
  readonly cacheWrite: number
  readonly cacheWriteHour: number
  readonly cacheRead: number
}

/** The cost of one answer in US dollars. A model that the table does not know is the dearest. */
export function costOf(model: string, usage: BilledUsage): number {
  const hour = Math.min(usage.hourCacheTokens ?? 0, usage.cache_creation_input_tokens)
  const prompt =
    usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
  const price = priceOf(model, prompt)
  const micro =
    usage.input_tokens * price.input +
    usage.output_tokens * price.output +
    usage.cache_read_input_tokens * price.cacheRead +
    (usage.cache_creation_input_tokens - hour) * price.cacheWrite +
    hour * price.cacheWriteHour
  return (micro / tokensPerUnit) * (usage.usOnly === true ? usOnlyFactor : 1)
}

/** The name under which the table knows a model; `other` if it does not. */
export function listedName(model: string): string {
  return rows.find(([name]) => names(model, name))?.[0] ?? 'other'
}

/** The price of a model for a prompt of this length, in US dollars per million tokens. */
export function priceOf(model: string, promptTokens: number): Price {
  const row = rows.find(([name]) => names(model, name))?.[1] ?? dearest
  return row.long !== undefined && promptTokens > row.long.overTokens ? row.long.price : row.price
}

interface Row {
  readonly price: Price
  /** Some models cost more, on every token, when the prompt is longer than this. */
  readonly long?: { readonly overTokens: number; readonly price: Price }
}

const tokensPerUnit = 1_000_000
const usOnlyFactor = 1.1

/**
 * Collected on 2026-11-24 from Anthropic's list prices (the pricing page and the model pages of
 * platform.claude.com/docs, standard speed), and compared with the tiers inside Agent SDK 0.3.330.
 * A budget is kept by these figures; the bill is Anthropic's.
 */
const rows: readonly (readonly [name: string, row: Row])[] = [
  ['claude-fable-5-2', { price: price(8, 40, 0.2) }],
  ['claude-mythos-5-2', { price: price(8, 40, 0.2) }],
  ['claude-fable-5-1', { price: price(10, 50, 0.25) }],
  ['claude-mythos-5-1', { price: price(10, 50, 0.25) }],
  ['claude-fable-5', { price: price(10, 50, 1) }],
  ['claude-mythos-5', { price: price(10, 50, 1) }],
  ['claude-opus-5-5', { price: price(4, 20, 0.2) }],
  ['claude-opus-5', { price: price(5, 25, 0.5) }],
  ['claude-opus-4-8', { price: price(5, 25, 0.5) }],
  ['claude-opus-4-7', { price: price(5, 25, 0.5) }],
  ['claude-opus-4-6', { price: price(5, 25, 0.5) }],
  ['claude-opus-4-5', { price: price(5, 25, 0.5) }],
  ['claude-sonnet-5-5', { price: price(2, 10, 0.1) }],
  ['claude-sonnet-5', { price: price(2, 10, 0.2) }],
  ['claude-sonnet-4-6', { price: price(3, 15, 0.3) }],
  ['claude-sonnet-4-5', { price: price(3, 15, 0.3) }],
  [
    'claude-haiku-5-5',
    {
      price: price(0.1, 0.5, 0.01),
      long: { overTokens: 100_000, price: price(0.5, 2.5, 0.05) },
    },
  ],
  ['claude-haiku-4-5', { price: price(1, 5, 0.1) }],
]

/** Opus 4 and 4.1, the dearest list price there has been at standard speed. */
const dearest: Row = { price: price(15, 75, 1.5) }

/** Writing to the cache costs 1.25 times the input for five minutes, twice for an hour. */
function price(input: number, output: number, cacheRead: number): Price {
  return { input, output, cacheRead, cacheWrite: input * 1.25, cacheWriteHour: input * 2 }
}

/**
 * `claude-opus-5` names `claude-opus-5-20260724` and `us.anthropic.claude-opus-5-v1:0`, but not
 * `claude-opus-5-9`: a minor version that is not in the table is another model, and unknown.
 */
function names(model: string, name: string): boolean {
  const at = model.indexOf(name)
  return at >= 0 && !/^(?:[.-]?\d{1,2}(?!\d)|\d)/.test(model.slice(at + name.length))
}
