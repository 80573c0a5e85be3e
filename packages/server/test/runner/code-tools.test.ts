/** The code tools as the agent calls them, in a real sandbox: ripgrep, files and the parser. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CodeParser } from '../../src/agent/tools/code/parser.ts'
import { codeTools } from '../../src/agent/tools/code.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { codeFunctions } from '../../src/runner/tool-functions.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { connectTools, type ToolClient } from '../agent/tools/client.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let sandbox: Sandbox
let tools: ToolClient
const parser = new CodeParser({ clock: systemClock, log: createLog('silent') })
before(async () => {
  bench = await openBench()
  sandbox = await bench.open(943)
  const workspace = { sandbox, signal: never }
  tools = await connectTools(codeTools(codeFunctions({ workspace }, parser)))
})
after(async () => {
  await tools[Symbol.asyncDispose]()
  await parser[Symbol.asyncDispose]()
  await bench[Symbol.asyncDispose]()
})

const files = `
git init --quiet .
printf 'dist/\\n*.log\\n' > .gitignore
printf 'secret.txt\\n' > .ignore
mkdir -p src/deep dist .github node_modules/.cache sub
printf 'const needle = 1\\nconst a = 2\\nuse(needle)\\n' > src/a.ts
printf 'a\\r\\nNeedle (x)\\r\\nb\\r\\n' > src/deep/b.py
printf 'needle\\n' | tee dist/out.js a.log secret.txt .git/needle >/dev/null
printf 'on: needle\\n' > .github/ci.yml
printf 'needle\\n' > '-n'
printf 'needle\\n' > "$(printf 'new\\nline')"
printf 'x\\0needle\\n' > binary
printf 'needle %5000s\\n' x > wide
head -c 5000000 /dev/zero | tr '\\0' a > huge; printf 'needle\\n' >> huge
ln -s /etc/passwd passwd; ln -s . self; ln -s src linked
printf 'kept: root:x:0:0\\n' > root.txt
`

/** A search, and its answer: the text itself, or a pattern of it. */
type Search = readonly [says: string, input: Record<string, unknown>, answer: string | RegExp]

const searches: readonly Search[] = [
  [
    'what ignore files, .git, links, and binary and huge files have is not found',
    { pattern: 'needle', globs: ['!wide'] },
    '-n\n1: needle\n\n.github/ci.yml\n1: on: needle\n\nsrc/a.ts\n1: const needle = 1\n3: use(needle)',
  ],
  [
    'a glob does not bring back what is ignored',
    { pattern: 'needle', globs: ['*.log', 'dist/**'] },
    'Nothing found.',
  ],
  [
    'a glob that takes a link follows none',
    { pattern: 'root:', globs: ['passwd', 'self/**', 'linked/**', '*.txt'] },
    'root.txt\n1: kept: root:x:0:0',
  ],
  [
    'globs of a directory and of names',
    { pattern: 'needle', globs: ['src/**', '*.yml', '!*.ts'] },
    '.github/ci.yml\n1: on: needle',
  ],
  [
    'a literal with signs, case ignored, in a file with CRLF',
    { pattern: 'NEEDLE (X)', ignore_case: true },
    'src/deep/b.py\n2: Needle (x)',
  ],
  [
    'a regular expression, with lines around',
    { pattern: '^const \\w = 2$', regex: true, context: 1 },
    'src/a.ts\n1- const needle = 1\n2: const a = 2\n3- use(needle)',
  ],
  [
    'a pattern that looks like an option',
    { pattern: '--files', globs: ['*.ts'] },
    'Nothing found.',
  ],
  [
    'a glob that looks like an option',
    { pattern: 'needle', globs: ['--pre=sh'] },
    'Nothing found.',
  ],
  [
    'a name of two lines is no file',
    { pattern: 'needle', globs: ['new*', 'line'] },
    'Nothing found.',
  ],
  [
    'a long line is cut',
    { pattern: 'needle', globs: ['wide'] },
    /^wide\n1: needle {250,} \[\.\.\. .*\]$/,
  ],
  [
    'more than is asked for',
    { pattern: 'needle', globs: ['*.ts'], max_results: 1 },
    'src/a.ts\n1: const needle = 1\n\n[there is more; narrow it down by pattern or globs]',
  ],
  ['a wrong regular expression', { pattern: '(', regex: true }, /^error: .*regex parse error/s],
  ['a wrong glob', { pattern: 'a', globs: ['!['] }, /^error: .*error parsing glob/s],
  ['a wrong glob of what is wanted', { pattern: 'a', globs: ['['] }, /^error: .*glob/s],
  ['a pattern of two lines', { pattern: 'a\nb' }, /^error: .*pattern: one line is expected/],
  ['an empty pattern', { pattern: '' }, /^error: .*pattern: Too small/],
  ['half a character', { pattern: '\ud800' }, /^error: .*well-formed Unicode/],
  ['too much context', { pattern: 'a', context: 11 }, /^error: .*context: Too big/],
]

test('a search finds what is source, and says what is wrong with it', async (t) => {
  assert.equal((await sh(sandbox, files)).exitCode, 0)
  for (const [says, input, answer] of searches)
    await t.test(says, async () => {
      const said = await tools.call('code_search', input)
      if (typeof answer === 'string') assert.equal(said, answer)
      else assert.match(said, answer)
    })
})

test('a search through very many lines is cut off where it is enough', async () => {
  await sh(sandbox, 'for n in $(seq 200); do yes "needle $n" | head -n 20000 > many$n.txt; done')
  const started = Date.now()
  const said = await tools.call('code_search', {
    pattern: 'needle',
    globs: ['many*'],
    max_results: 500,
  })
  assert.match(said, /\[there is more; narrow it down by pattern or globs\]$/)
  assert.equal(said.match(/^\d+: needle/gm)?.length, 500)
  assert.ok(Date.now() - started < 15_000)
  await sh(sandbox, 'rm many*')
})

test('a file is outlined and edited where it lies, with its mode, and never through a link', async () => {
  await sh(
    sandbox,
    'printf "#!/usr/bin/env node\\nfunction f() {}\\n" > run.js; chmod 755 run.js; ln -s run.js link.js',
  )
  const outline = await tools.call('code_outline', { path: 'run.js' })
  const revision = /^run.js \(JavaScript\), revision (\w+)\n2-2 function f: function f\(\)$/.exec(
    outline,
  )?.[1]
  const edit = { path: 'run.js', revision, symbol: 'f', operation: 'rename', new_name: 'g' }
  assert.match(await tools.call('code_edit', edit), /^Renamed f: changed line 2/)
  const { stdout } = await sh(sandbox, 'cat run.js; stat -c %a run.js')
  assert.equal(stdout, '#!/usr/bin/env node\nfunction g() {}\n755\n')
  assert.match(
    await tools.call('code_outline', { path: 'link.js' }),
    /^error: "link.js" is a symbolic link/,
  )
  assert.match(
    await tools.call('code_outline', { path: '../a.js' }),
    /^error: .*lead out of the workspace/,
  )
  assert.match(
    await tools.call('code_edit', { ...edit, new_name: '' }),
    /^error: .*new_name: Too small/,
  )
})
