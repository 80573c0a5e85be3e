/** Texts that are made to be slow, deep or large, and what a parser leaves behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waitingMax } from '../../../src/agent/tools/code/bounds.ts'
import type { Language } from '../../../src/agent/tools/code/language.ts'
import { javascript, typescript } from '../../../src/agent/tools/code/languages/javascript.ts'
import { rust } from '../../../src/agent/tools/code/languages/rust.ts'
import { CodeParser } from '../../../src/agent/tools/code/parser.ts'
import { ToolRefused } from '../../../src/agent/tools/tool.ts'
import { systemClock } from '../../../src/clock.ts'
import { createLog } from '../../../src/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/until.ts'
import { openCode } from './code.ts'

const log = createLog('silent')
const never = new AbortController().signal
const minuteMs = 60_000

/** Raw strings that never end: for each of them the scanner looks through all the rest. */
const slow = 'r#"'.repeat(600_000)

/** Threads that this process has beside its own. */
function threads(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length
}

async function assertParses(parser: CodeParser): Promise<void> {
  const { symbols } = await parser.outline(javascript, 'function f() {}', never)
  assert.deepEqual(
    symbols.map(({ path }) => path),
    ['f'],
  )
}

test('a text that is slow, hungry or deep is refused, and the next one is parsed', async (t) => {
  const texts: readonly [string, Language, string, RegExp, ms: number][] = [
    ['slow', rust, slow, /longer than 4 s/, 4000],
    // These are refused for what they are, however long that takes.
    ['hungry', typescript, '('.repeat(2_000_000), /too much memory/, minuteMs],
    ['deep', typescript, 'namespace A {'.repeat(201) + '}'.repeat(201), /200 deep/, minuteMs],
    ['full of symbols', javascript, 'var a;'.repeat(10_001), /more than 10000 symbols/, minuteMs],
  ]
  for (const [says, language, text, refusal, requestMsMax] of texts)
    await t.test(says, async () => {
      await using parser = new CodeParser({ clock: systemClock, log, requestMsMax })
      await assert.rejects(parser.outline(language, text, never), (error) => {
        assert.ok(error instanceof ToolRefused)
        assert.match(error.message, refusal)
        return true
      })
      await assertParses(parser)
    })
})

test('a file of 2 MiB is outlined and edited', async () => {
  await using stage = openCode(minuteMs)
  const unit = `function f() {\n${'  g(a + 1, "text", { b: [1, 2] })\n'.repeat(500)}}\n`
  const text = unit.repeat(Math.floor((2 * 1024 * 1024 - 100) / unit.length))
  const file = `${text}const last = 1\n`.padEnd(2 * 1024 * 1024, '\n')
  stage.files.set('a.js', Buffer.from(file))
  const edited = await stage.edit('a.js', { operation: 'rename', symbol: 'last', new_name: 'end' })
  assert.equal(edited, file.replace('last', 'end'))
})

test('a request that is aborted ends the thread with it, and the next one starts another', async () => {
  await using parser = new CodeParser({ clock: systemClock, log })
  const before = threads()
  const abort = new AbortController()
  const outline = parser.outline(rust, slow, abort.signal)
  await until('a thread', () => threads() > before)
  abort.abort(new Error('nobody waits'))
  await assert.rejects(outline, /nobody waits/)
  assert.equal(threads(), before)
  await assert.rejects(parser.outline(rust, '', abort.signal), /nobody waits/)
  await assertParses(parser)
})

test('more requests than may wait are refused, the others answered in turn', async () => {
  await using parser = new CodeParser({ clock: systemClock, log })
  const all = Array.from({ length: waitingMax + 1 }, () =>
    parser.outline(javascript, 'var a', never),
  )
  const ends = await Promise.allSettled(all)
  assert.deepEqual(
    ends.map(({ status }) => status),
    [...Array.from({ length: waitingMax }, () => 'fulfilled'), 'rejected'],
  )
})

test('a thread is gone after a while without requests, and once its parser is disposed', async () => {
  const before = threads()
  const clock = new ManualClock()
  const parser = new CodeParser({ clock, log })
  assert.equal(threads(), before)
  await assertParses(parser)
  await assertParses(parser)
  assert.equal(threads(), before + 1)
  assert.equal(clock.pending, 1)
  clock.advance(60_000)
  await until('no thread', () => threads() === before)
  await assertParses(parser)
  const late = parser.outline(rust, slow, never)
  const refused = assert.rejects(late, /needs too much memory|is over/)
  await parser[Symbol.asyncDispose]()
  await refused
  assert.equal(threads(), before)
  assert.equal(clock.pending, 0)
  await assert.rejects(parser.outline(javascript, '', never), /The task is over/)
})
