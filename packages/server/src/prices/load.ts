import { resolve } from 'node:path'
import { z } from 'zod'
import { mistakesOf } from '../json-file/mistakes.ts'
import { readJson, refusedFile } from '../json-file/read.ts'
import { type ModelPrice, type PriceList, price } from './list.ts'

const setting = 'PRICES_FILE'
const modelsMax = 500

/** US dollars per million tokens; a thousand is beyond any price there has been. */
const dollars = z.number().min(0).max(1000)

const prices = {
  input: dollars,
  output: dollars,
  cache_read: dollars,
  /** Default: 1.25 times the input, and twice. */
  cache_write: dollars.optional(),
  cache_write_hour: dollars.optional(),
}

const modelPrice = z.strictObject({
  ...prices,
  long: z.strictObject({ over_tokens: z.int().min(1).max(100_000_000), ...prices }).optional(),
})

/** The form of the file that `PRICES_FILE` names. */
const pricesFile = z.strictObject({
  $schema: z.string().max(2048).optional(),
  dated: z.iso.date('expected a day as YYYY-MM-DD'),
  models: z
    .record(
      z.string().regex(/^[\w.:/@-]{1,128}$/, 'expected the name of a model as its key'),
      modelPrice,
    )
    .refine(
      (models) => Object.keys(models).length <= modelsMax,
      `expected at most ${modelsMax} models`,
    ),
})

/** Reads the operator's prices. Throws an Error whose sentences name each mistake. */
export function readPrices(path: string): PriceList {
  const file = readJson(setting, resolve(path))
  const parsed = pricesFile.safeParse(file)
  if (!parsed.success)
    throw refusedFile({ setting, path, file, mistakes: mistakesOf(parsed.error) })
  const { dated, models } = parsed.data
  const rows = Object.entries(models).map(([name, given]) => [name, modelPriceOf(given)])
  return { dated, models: Object.fromEntries(rows) }
}

function modelPriceOf({ long, ...given }: z.infer<typeof modelPrice>): ModelPrice {
  if (long === undefined) return { price: priceOf(given) }
  return { price: priceOf(given), long: { overTokens: long.over_tokens, price: priceOf(long) } }
}

function priceOf(given: Omit<z.infer<typeof modelPrice>, 'long'>) {
  const { input, output, cache_read: read, cache_write: write, cache_write_hour: hour } = given
  return price(input, output, read, {
    ...(write !== undefined && { cacheWrite: write }),
    ...(hour !== undefined && { cacheWriteHour: hour }),
  })
}
