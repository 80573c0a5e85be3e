/** The list of mutations is in order, and a sample of it is seen to be noticed. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { mutations, withoutWall } from './mutations.ts'

const root = join(import.meta.dirname, '../../../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

test('every wall stands where the list says, once', () => {
  const moved = mutations
    .flatMap((mutation) => [mutation, ...(mutation.also ?? [])])
    .filter(({ file, find }) => read(file).split(find).length !== 2)
  assert.deepEqual(moved, [])
})

test('every test that the list names is there, once', () => {
  const missing = [...mutations, ...withoutWall].filter(
    ({ test: file, title }) =>
      read(file).split(`test('${title.replaceAll("'", "\\'")}'`).length !== 2,
  )
  assert.deepEqual(missing, [])
})

/** Cheap ones, of four kinds; `script/chaos walls` tries them all. */
const sample = [
  'a file of the host is read by no path',
  'a port of the host is not heard',
  'the server’s environment is not that',
  'the root inside',
]

test('without its wall each attack of the sample gets through, and its test goes red', async (t) => {
  const only = sample.flatMap((title) => ['--only', title])
  // Nor is what is compiled of a copy of the tree worth keeping.
  const { NODE_TEST_CONTEXT: _, NODE_COMPILE_CACHE: _cache, ...env } = process.env
  const child = spawn(
    process.execPath,
    ['--conditions=longhaul', join(root, 'chaos/main.ts'), 'walls', '--json', ...only],
    // As long as this test may take: five runs of tests are minutes on a busy machine.
    { env, stdio: ['ignore', 'pipe', 'inherit'], signal: t.signal },
  )
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')])
  const summary = said.trim().split('\n').at(-1) ?? ''
  assert.deepEqual(
    JSON.parse(summary),
    { walls: sample.length, red: sample.length, green: 0 },
    said,
  )
})
