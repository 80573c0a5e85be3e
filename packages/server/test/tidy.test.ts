/**
 * The house rules that no linter states: which room may call which, and how big a room may grow.
 * Levels are those of ARCHITECTURE.md: a room imports from lower levels only, never sideways.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

const src = resolve(import.meta.dirname, '../src')
const level: Record<string, number> = {
  'config.ts': 0.5,
  'config-settings.ts': 0.375,
  'config-fields.ts': 0.25,
  'clock.ts': 0,
  'ids.ts': 0.5,
  'log.ts': 0.25,
  'own-thread.ts': 0.5,
  'metrics.ts': 0,
  scrub: 0,
  'known-secrets.ts': 0.75,
  'json-file': -1,
  prices: 0,
  'tools-file': 0,
  'credentials-file': 0,
  'image-name.ts': 0,
  'caller.ts': 0,
  store: 1,
  events: 2,
  queue: 2,
  sandbox: 2,
  sessions: 3,
  workspace: 3,
  gateway: 3,
  agent: 3,
  tasks: 4,
  http: 5,
  runner: 5,
  delivery: 5,
  telemetry: 5,
  build: 5.5,
  'build.ts': 6,
  'main.ts': 7,
  'cli.ts': 8,
}

const files = globSync('**/*.ts', { cwd: src })
const lengths = files
  .map((file) => readFileSync(join(src, file), 'utf8').split('\n').length)
  .sort((a, b) => a - b)
const quantile = (q: number): number => lengths[Math.ceil(lengths.length * q) - 1] ?? 0
const roomOf = (file: string): string => file.split('/')[0] ?? file

test('there are sources to judge', () => {
  assert.ok(files.length > 0)
})

test('every file lives in a room that has a level', () => {
  assert.deepEqual(
    files.filter((file) => level[roomOf(file)] === undefined),
    [],
  )
})

test('imports only point to lower levels', () => {
  const specifiers = /(?:from|import)\s*\(?\s*'(\.[^']+)'/g
  const wrong: string[] = []
  for (const file of files) {
    const from = roomOf(file)
    for (const [, specifier = ''] of readFileSync(join(src, file), 'utf8').matchAll(specifiers)) {
      const to = roomOf(relative(src, resolve(src, dirname(file), specifier)))
      if (to !== from && (level[to] ?? 99) >= (level[from] ?? -1)) wrong.push(`${file} -> ${to}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('files stay small: median 120 lines, 95th percentile 300, none over 400', () => {
  assert.ok(quantile(0.5) <= 120, `median ${quantile(0.5)}`)
  assert.ok(quantile(0.95) <= 300, `95th percentile ${quantile(0.95)}`)
  assert.ok(quantile(1) <= 400, `longest ${quantile(1)}`)
})
