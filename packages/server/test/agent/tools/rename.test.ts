/** What a rename touches and what it refuses, per language: the file after, or the reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CodeStage, openCode } from './code.ts'
import { go } from './renames/go.ts'
import { java } from './renames/java.ts'
import { javascript } from './renames/javascript.ts'
import { python } from './renames/python.ts'
import type { Renamed } from './renames/renamed.ts'
import { rust } from './renames/rust.ts'

async function check(
  stage: CodeStage,
  { path, symbol, to = 'fresh', before, after }: Renamed,
): Promise<void> {
  stage.files.set(path, Buffer.from(before))
  const edited = stage.edit(path, { symbol, operation: 'rename', new_name: to })
  if (typeof after === 'string') return assert.equal(await edited, after)
  await assert.rejects(edited, after)
  assert.equal(stage.files.get(path)?.toString(), before)
}

test('a rename touches the names that are the symbol, and nothing when that is not clear', async (t) => {
  await using stage = openCode()
  for (const renamed of [javascript, python, go, rust, java].flat())
    await t.test(`${renamed.path}: ${renamed.says}`, () => check(stage, renamed))
})
