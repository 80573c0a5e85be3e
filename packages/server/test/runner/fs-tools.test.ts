/** The file tools as the agent calls them, each in use and in misuse, in a real sandbox. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileTools } from '../../src/agent/tools/fs.ts'
import { fileFunctions } from '../../src/runner/tool-functions.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { connectTools, type ToolClient } from '../agent/tools/client.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let sandbox: Sandbox
let tools: ToolClient
before(async () => {
  bench = await openBench()
  sandbox = await bench.open(941)
  tools = await connectTools(fileTools(fileFunctions({ workspace: { sandbox, signal: never } })))
})
after(async () => {
  await tools[Symbol.asyncDispose]()
  await bench[Symbol.asyncDispose]()
})

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, n) => `line ${from + n}\n`).join('')

/** A call, and its answer: the text itself, or a pattern of it. */
type Use = readonly [name: string, input: Record<string, unknown>, answer: string | RegExp]

const uses: readonly Use[] = [
  ['fs_list', {}, 'The directory is empty.'],
  ['fs_write', { path: 'a/b.txt', content: 'one\ntwo' }, 'Made a/b.txt (7 bytes).'],
  ['fs_write', { path: 'a/b.txt', content: 'one\n€' }, 'Replaced a/b.txt (7 bytes).'],
  ['fs_write', { path: 'a/b.txt', content: '', replace: false }, /^error: "a\/b.txt" exists/],
  ['fs_read', { path: 'a/b.txt' }, 'one\n€'],
  ['fs_read', { path: 'a/b.txt', offset: 2 }, '€'],
  ['fs_read', { path: 'a/b.txt', offset: 3 }, /^error: The file has 2 lines/],
  ['fs_read', { path: 'a/b.txt', limit: 1 }, 'one\n\n[lines 1 to 1 of 2; go on with offset 2]'],
  ['fs_read', { path: 'a' }, /^error: "a" is a directory/],
  ['fs_read', { path: 'none' }, /^error: "none" does not exist/],
  ['fs_write', { path: 'many', content: lines(1, 3000) }, /^Made many/],
  [
    'fs_read',
    { path: 'many', offset: 1500, limit: 2 },
    /^line 1500\nline 1501\n\n\[lines 1500 to 1501 of 3000/,
  ],
  [
    'fs_read',
    { path: 'many' },
    /line 2000\n\n\[lines 1 to 2000 of 3000; go on with offset 2001\]$/,
  ],
  ['fs_write', { path: 'wide', content: 'w'.repeat(50_000) }, /^Made wide/],
  ['fs_read', { path: 'wide' }, /^w{36000}\n\[line 1 of 1 is longer than one answer\]$/],
  ['fs_write', { path: 'empty', content: '' }, 'Made empty (0 bytes).'],
  ['fs_read', { path: 'empty' }, '[the file is empty]'],
  ['fs_write', { path: 'half', content: '\ud800' }, /^error: content is not well-formed/],
  ['fs_copy', { from: 'a', to: 'c/d' }, 'Copied a (a directory) to c/d.'],
  ['fs_copy', { from: 'a', to: 'c/d' }, /^error: "c\/d" exists already/],
  ['fs_copy', { from: 'empty', to: 'c/d/b.txt', replace: true }, /^Copied empty \(a file\)/],
  ['fs_move', { from: 'c/d', to: 'e' }, 'Moved c/d (a directory) to e.'],
  ['fs_move', { from: 'c/d', to: 'f' }, /^error: "c\/d" does not exist/],
  ['fs_list', { path: 'e' }, 'b.txt  0'],
  [
    'fs_list',
    { depth: 2 },
    'a/\na/b.txt  7\nc/\ne/\ne/b.txt  0\nempty  0\nmany  28893\nwide  50000',
  ],
  ['fs_list', { path: 'many' }, /^error: "many" is a file, not a directory/],
  ['fs_delete', { path: 'e' }, /^error: The directory is not empty/],
  ['fs_delete', { path: 'e', recursive: true }, 'Deleted e (a directory).'],
  ['fs_delete', { path: 'c' }, 'Deleted c (a directory).'],
  ['fs_delete', { path: 'wide' }, 'Deleted wide (a file).'],
  ['fs_delete', { path: 'wide' }, /^error: "wide" does not exist/],
  ['fs_delete', { path: '.', recursive: true }, /^error: This is not done to the workspace/],
]

test('each file tool does what it says, and says what it does not', async () => {
  for (const [name, input, answer] of uses) {
    const said = await tools.call(name, input)
    const what = `${name} ${JSON.stringify(input).slice(0, 100)}`
    if (typeof answer === 'string') assert.equal(said, answer, what)
    else assert.match(said, answer, what)
  }
})

const wrong: readonly (readonly [name: string, input: Record<string, unknown>, why: RegExp])[] = [
  ['fs_read', {}, /path: Invalid input: expected string/],
  ['fs_read', { path: 'x', offset: 0, limit: 5000 }, /offset: Too small.*limit: Too big/],
  ['fs_read', { path: 'x'.repeat(4097) }, /path: Too big/],
  ['fs_write', { path: 'x' }, /content: Invalid input/],
  ['fs_write', { path: 'x', content: 'y', mode: 511 }, /Unrecognized key: "mode"/],
  ['fs_list', { depth: 9 }, /depth: Too big/],
  ['fs_delete', { path: 'x', recursive: 'yes' }, /recursive: Invalid input: expected boolean/],
  ['fs_move', { from: 'x' }, /to: Invalid input/],
  ['fs_copy', { to: 'x' }, /from: Invalid input/],
]

test('inputs that do not fit the schema are refused with each of their faults', async () => {
  for (const [name, input, answer] of wrong) {
    const said = await tools.call(name, input)
    assert.match(said, new RegExp(`^error: The input of ${name} is not valid`))
    assert.match(said, answer)
  }
})

test('a file that is not text is said to be something else', async () => {
  await sh(sandbox, `printf 'a\\0b' > nul; printf '\\xff\\xfe' > latin`)
  for (const path of ['nul', 'latin'])
    assert.match(await tools.call('fs_read', { path }), /^error: \w+ is not UTF-8 text: \d bytes/)
})

test('a directory that may not be read is marked, and the others are listed', async () => {
  await sh(sandbox, 'mkdir -p l/{a,b,c}/in && touch l/{a,b,c}/in/f && chmod 0 l/a && chmod 444 l/b')
  const said = await tools.call('fs_list', { path: 'l', depth: 3 })
  assert.equal(said, 'a  (unreadable directory)\nb  (unreadable directory)\nc/\nc/in/\nc/in/f  0')
  assert.match(await tools.call('fs_list', { path: 'l/a' }), /^error: The permissions of the file/)
})
