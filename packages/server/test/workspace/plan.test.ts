/** What a repository's base commit says of its set-up and checks, and what set-up leaves. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { listByProducts } from '../../src/workspace/by-products.ts'
import { detectPlan } from '../../src/workspace/detect.ts'
import type { Workspace } from '../../src/workspace/git.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let opened = 0
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

async function committed(files: Readonly<Record<string, string>>) {
  opened += 1
  const sandbox = await bench.open(opened)
  const run = async (command: string, input = ''): Promise<void> => {
    const end = await sh(sandbox, `set -e; ${command}`, { input })
    assert.equal(end.exitCode, 0, end.stderr)
  }
  await run('git init -q .; echo 1 >here')
  for (const [name, text] of Object.entries(files)) {
    await run(`mkdir -p "$(dirname '${name}')"; cat > '${name}'`, text)
  }
  await run('git add -A; git commit -qm base')
  const workspace: Workspace = { sandbox, signal: never }
  return { workspace, run }
}

const makefile = 'all:\n\ttrue\ntest: all\n\ttrue\n'
const package_ = (fields: object) => JSON.stringify(fields, null, 2)
const init = { scripts: { test: 'echo "Error: no test specified" && exit 1' } }

const rows: readonly (readonly [string, Readonly<Record<string, string>>, readonly string[]])[] = [
  [
    'a test script',
    { 'package.json': package_({ scripts: { test: 'node --test' } }) },
    ['npm test'],
  ],
  [
    'the test script of npm init',
    { 'package.json': package_(init), Makefile: makefile },
    ['make test'],
  ],
  [
    'a folder that is called test',
    { 'package.json': package_({ ...init, directories: { test: 'test' } }), Makefile: makefile },
    ['make test'],
  ],
  [
    'a dependency that is called test',
    { 'package.json': package_({ dependencies: { test: '1' } }) },
    [],
  ],
  ['a package file that is not JSON', { 'package.json': '{"scripts": {"test": "x"' }, []],
  [
    'a project file that names pytest',
    { 'pyproject.toml': '[tool.pytest]' },
    ['python3 -m pytest'],
  ],
  ['a project file that does not', { 'pyproject.toml': '[project]' }, []],
  ['a module of Go', { 'go.mod': 'module x' }, ['go test ./...']],
  ['a crate', { 'Cargo.toml': '[package]' }, ['cargo test']],
  ['a Makefile without the target', { Makefile: 'all:\n\ttrue\n' }, []],
]

for (const [name, files, checks] of rows) {
  test(`${name} is checked by ${checks[0] ?? 'nothing'}`, async () => {
    const { workspace } = await committed(files)
    const plan = await detectPlan(workspace, { commit: 'HEAD', workdir: undefined })
    assert.deepEqual(plan.checks, checks)
  })
}

test('the plan is read below the work’s folder, and from the commit', async () => {
  const { workspace, run } = await committed({ 'a/b/go.mod': 'module x', 'go.sum': '' })
  await run('rm -r a; echo >Cargo.toml')
  const at = (workdir: string) => detectPlan(workspace, { commit: 'HEAD', workdir })
  assert.deepEqual((await at('a/b')).checks, ['go test ./...'])
  assert.deepEqual((await at('a')).checks, [])
  const { setup, checks, packages } = await at('.')
  assert.deepEqual({ setup, checks }, { setup: 'go mod download', checks: [] })
  assert.match(packages, /^go\.sum [0-9a-f]{40}$/)
})

test('what set-up left is excluded file by file, folders of dependencies and floods as a whole', async () => {
  const { workspace, run } = await committed({ 'src/kept.js': '' })
  await run(`mkdir -p empty out node_modules/a src/made many; echo 1 >out/report.txt
    echo 1 >node_modules/a/x.js; echo 1 >src/made/api.js; echo 1 >'odd [1]*.txt'
    for n in $(seq 201); do echo >many/$n; done`)
  assert.deepEqual((await listByProducts(workspace)).sort(), [
    '/many/',
    '/node_modules/',
    '/odd \\[1\\]\\*.txt',
    '/out/report.txt',
    '/src/made/api.js',
  ])
})
