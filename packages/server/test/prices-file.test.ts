/** The file of prices: each mistake has its sentence with its place; what it names replaces the list. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadConfig } from '../src/config.ts'
import { PriceTable } from '../src/prices/price-table.ts'

const directory = mkdtempSync(join(tmpdir(), 'longhaul-prices-'))
after(() => rmSync(directory, { recursive: true }))

function read(content: unknown) {
  const path = join(directory, 'prices.json')
  writeFileSync(path, JSON.stringify(content))
  return loadConfig({ PRICES_FILE: path }).prices
}

function tableOf(models: Readonly<Record<string, unknown>>): PriceTable {
  const { own } = read({ dated: '2026-11-01', models })
  return new PriceTable(own === null ? {} : { own: own.models })
}

const flat = { input: 1, output: 2, cache_read: 0.1 }
const tokens = {
  input_tokens: 1_000_000,
  output_tokens: 1_000_000,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}

const mistakes: readonly (readonly [what: string, content: unknown, sentence: RegExp])[] = [
  ['no day', { models: {} }, /dated: expected a text, came nothing/],
  ['another day', { dated: '1 May', models: {} }, /dated: expected a day as YYYY-MM-DD/],
  ['no models', { dated: '2026-11-01' }, /models: expected an object, came nothing/],
  [
    'a price below nothing',
    { dated: '2026-11-01', models: { a: { ...flat, input: -1 } } },
    /models\.a\.input: expected a number of at least 0, came -1/,
  ],
  [
    'a price in words',
    { dated: '2026-11-01', models: { a: { ...flat, output: '2' } } },
    /models\.a\.output: expected a number, came "2"/,
  ],
  [
    'a field of another name',
    { dated: '2026-11-01', models: { a: { ...flat, cached: 1 } } },
    /models\.a\.cached: expected no field of this name/,
  ],
]
for (const [what, content, sentence] of mistakes)
  test(`a file of prices with ${what} is refused with a sentence`, () => {
    assert.throws(() => read(content), sentence)
  })

test('a model of the file costs what the file says, and the others what the list says', () => {
  const table = tableOf({ 'claude-opus-5-5': flat, 'own-model': flat })
  assert.equal(table.costOf('claude-opus-5-5', tokens), 3)
  assert.equal(table.costOf('own-model', tokens), 3)
  assert.equal(table.costOf('claude-sonnet-5-5', tokens), 12)
  assert.equal(table.priceOf('own-model', 1).cacheWrite, 1.25)
})

test('of two names that fit, the longer one has the price', () => {
  const table = tableOf({ 'acme-claude-opus-5-5': flat })
  assert.equal(table.costOf('acme-claude-opus-5-5', tokens), 3)
  assert.equal(table.costOf('claude-opus-5-5', tokens), 24)
})

test('a model without a price costs as much as the dearest of the file or the list', () => {
  const table = tableOf({ gold: { input: 100, output: 1, cache_read: 1 } })
  assert.equal(table.costOf('nobody-knows', tokens), 100 + 75)
})

test('a long prompt costs what the file says for long prompts', () => {
  const long = { over_tokens: 1000, input: 5, output: 6, cache_read: 1 }
  const table = tableOf({ 'own-model': { ...flat, long } })
  assert.equal(table.priceOf('own-model', 1000).input, 1)
  assert.equal(table.priceOf('own-model', 1001).input, 5)
})
