/** US dollars per million tokens. */
export interface Price {
  readonly input: number
  readonly output: number
  readonly cacheWrite: number
  readonly cacheWriteHour: number
  readonly cacheRead: number
}

/** What one model costs. */
export interface ModelPrice {
  readonly price: Price
  /** Some models cost more, on every token, when the prompt is longer than this. */
  readonly long?: { readonly overTokens: number; readonly price: Price }
}

/** Prices by the names of models, and the day on which they were collected. */
export interface PriceList {
  /** `YYYY-MM-DD`. */
  readonly dated: string
  readonly models: Readonly<Record<string, ModelPrice>>
}

/**
 * Collected on that day from Anthropic's list prices (the pricing page and the model pages of
 * platform.claude.com/docs, standard speed), and compared with the tiers inside Agent SDK 0.3.330.
 * A budget is kept by these figures; the bill is Anthropic's. `PRICES_FILE` replaces them by name.
 */
export const listPrices: PriceList = {
  dated: '2026-11-24',
  models: {
    'claude-fable-5-2': { price: price(8, 40, 0.2) },
    'claude-mythos-5-2': { price: price(8, 40, 0.2) },
    'claude-fable-5-1': { price: price(10, 50, 0.25) },
    'claude-mythos-5-1': { price: price(10, 50, 0.25) },
    'claude-fable-5': { price: price(10, 50, 1) },
    'claude-mythos-5': { price: price(10, 50, 1) },
    'claude-opus-5-5': { price: price(4, 20, 0.2) },
    'claude-opus-5': { price: price(5, 25, 0.5) },
    'claude-opus-4-8': { price: price(5, 25, 0.5) },
    'claude-opus-4-7': { price: price(5, 25, 0.5) },
    'claude-opus-4-6': { price: price(5, 25, 0.5) },
    'claude-opus-4-5': { price: price(5, 25, 0.5) },
    'claude-sonnet-5-5': { price: price(2, 10, 0.1) },
    'claude-sonnet-5': { price: price(2, 10, 0.2) },
    'claude-sonnet-4-6': { price: price(3, 15, 0.3) },
    'claude-sonnet-4-5': { price: price(3, 15, 0.3) },
    'claude-haiku-5-5': {
      price: price(0.1, 0.5, 0.01),
      long: { overTokens: 100_000, price: price(0.5, 2.5, 0.05) },
    },
    'claude-haiku-4-5': { price: price(1, 5, 0.1) },
  },
}

/** Opus 4 and 4.1, the dearest list price there has been at standard speed. */
export const dearestPrice = price(15, 75, 1.5)

/** Writing to the cache costs 1.25 times the input for five minutes, twice for an hour. */
export function price(
  input: number,
  output: number,
  cacheRead: number,
  { cacheWrite = input * 1.25, cacheWriteHour = input * 2 }: Partial<CacheWrites> = {},
): Price {
  return { input, output, cacheRead, cacheWrite, cacheWriteHour }
}

type CacheWrites = Pick<Price, 'cacheWrite' | 'cacheWriteHour'>
