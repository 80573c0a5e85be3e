import type { Usage } from '@longhaul/client/contract'
import { dearestPrice, listPrices, type ModelPrice, type Price, type PriceList } from './list.ts'
import { isModel, literally } from './model-name.ts'

/** Usage as the Messages API reports it, with the two fields that change its price. */
export interface BilledUsage extends Usage {
  /** Of `cache_creation_input_tokens`, those written for an hour instead of five minutes. */
  readonly hourCacheTokens?: number
  /** True: inference was bound to the United States, which costs a tenth more. */
  readonly usOnly?: boolean
}

/** What to do with a model that no list knows: count it as the dearest, or forward nothing to it. */
export type UnknownModel = 'dearest' | 'refuse'

const tokensPerUnit = 1_000_000
/** What inference in the United States costs more, of every token. */
export const usOnlyFactor = 1.1

/** What a table is made of; a thread that has the same makes the same table. */
export interface PriceSettings {
  readonly own?: PriceList['models']
  readonly unknownModel?: UnknownModel
}

/** What models cost: the list prices of the house, and those of the operator's in their place. */
export class PriceTable {
  readonly settings: PriceSettings
  readonly unknownModel: UnknownModel
  readonly #rows: readonly (readonly [name: string, price: ModelPrice])[]
  readonly #dearest: ModelPrice

  constructor(o: PriceSettings = {}) {
    this.settings = o
    this.unknownModel = o.unknownModel ?? 'dearest'
    this.#rows = Object.entries({ ...listPrices.models, ...o.own })
      // The longest name says most of a model: `acme-claude-opus-5` is not just `claude-opus-5`.
      .sort(([a], [b]) => b.length - a.length)
    this.#dearest = { price: dearestOf(this.#rows.map(([, row]) => row)) }
  }

  /** The cost of one answer in US dollars. A model that the table does not know is the dearest. */
  costOf(model: string, usage: BilledUsage): number {
    const hour = Math.min(usage.hourCacheTokens ?? 0, usage.cache_creation_input_tokens)
    const prompt =
      usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    const price = this.priceOf(model, prompt)
    const micro =
      usage.input_tokens * price.input +
      usage.output_tokens * price.output +
      usage.cache_read_input_tokens * price.cacheRead +
      (usage.cache_creation_input_tokens - hour) * price.cacheWrite +
      hour * price.cacheWriteHour
    return (micro / tokensPerUnit) * (usage.usOnly === true ? usOnlyFactor : 1)
  }

  /** The price of a model for a prompt of this length, in US dollars per million tokens. */
  priceOf(model: string, promptTokens: number): Price {
    const row = this.#find(model)?.[1] ?? this.#dearest
    return row.long !== undefined && promptTokens > row.long.overTokens ? row.long.price : row.price
  }

  /** The day from which the prices of the house are. */
  get dated(): string {
    return listPrices.dated
  }

  /** The name under which the table knows a model; `other` if it does not. */
  listedName(model: string): string {
    return this.#find(model)?.[0] ?? 'other'
  }

  knows(model: string): boolean {
    return this.#find(model) !== undefined
  }

  #find(model: string) {
    return this.#rows.find(([name]) => isModel(model, literally(name)))
  }
}

/** Of each kind of token the dearest that any model has. */
function dearestOf(rows: readonly ModelPrice[]): Price {
  const prices = rows.flatMap(({ price, long }) => (long ? [price, long.price] : [price]))
  const most = (kind: keyof Price) => Math.max(dearestPrice[kind], ...prices.map((p) => p[kind]))
  return {
    input: most('input'),
    output: most('output'),
    cacheWrite: most('cacheWrite'),
    cacheWriteHour: most('cacheWriteHour'),
    cacheRead: most('cacheRead'),
  }
}
