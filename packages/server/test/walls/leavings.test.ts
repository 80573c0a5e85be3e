/**
 * What the server does with what an agent leaves for it: links and pipes in the workspace, words in
 * the log, programs that set-up runs. Attacks of 2.7 of the sandbox reference.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { systemClock } from '../../src/clock.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { readFile } from '../../src/workspace/files.ts'
import type { Workspace } from '../../src/workspace/git.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { assertUnread, attack, canary } from './attack.ts'

let bench: Bench
let sandbox: Sandbox
const stop = new AbortController()
/** A read that waits does so for longer; one that does not has answered, on a busy machine too. */
const waitsMs = 30_000
let workspace: Workspace
before(async () => {
  bench = await openBench()
  sandbox = await bench.open(963)
  workspace = { sandbox, signal: stop.signal }
})
after(async () => {
  stop.abort()
  await bench[Symbol.asyncDispose]()
})

const contentOf = (path: string) =>
  readFile(workspace, path).then(String, (error: Error) => error.message)

test('a link in place of a file is not followed, not even inside', async () => {
  await attack(sandbox, `echo ${canary} >~/secret; ln -s ~/secret link`)
  assert.ok(!(await contentOf('link')).includes(canary), 'the canary was read through the link')
})

test('a directory of a file that is a link is not followed', async () => {
  await attack(sandbox, `mkdir -p ~/dir; echo ${canary} >~/dir/secret; ln -s ~/dir dirlink`)
  const content = await contentOf('dirlink/secret')
  assert.ok(!content.includes(canary), 'the canary was read through the link')
})

test('a pipe in place of a file is not waited for', async () => {
  await attack(sandbox, 'mkfifo pipe')
  const read = contentOf('pipe').then(() => 'answered')
  const end = await Promise.race([read, systemClock.sleep(waitsMs).then(() => 'waits')])
  assert.equal(end, 'answered', 'the canary pipe was opened')
})

test('a program that a repository has its tools run stays inside', async () => {
  const outside = join(bench.dataDir, 'outside')
  writeFileSync(outside, canary, { mode: 0o666 })
  const sly = `cat ${outside}; echo written >${outside}; env | grep LONGHAUL`
  await attack(sandbox, `printf 'all:\\n\\t-@sh sly\\n' >Makefile; printf %s '${sly}' >sly`)
  const result = await attack(sandbox, 'make; sh sly; LD_PRELOAD=./sly true')
  assertUnread(result)
  const { stdout } = await promisify(execFile)('cat', [outside])
  assert.equal(stdout, canary, 'the canary was written')
})

test('what an agent says writes no control character into the log', async () => {
  const source = `
    import { createLog } from ${JSON.stringify(join(import.meta.dirname, '../../src/log.ts'))}
    createLog('info').info({ said: '\\x1b]0;title\\x07\\x9b2J' }, 'said \\x1b[2Jthis\\nlevel:fatal')`
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...['--conditions=longhaul', '--input-type=module', '-e', source],
  ])
  assert.equal(stdout.trim().split('\n').length, 1, 'a canary line of its own is in the log')
  assert.ok(!stdout.includes('\x1b'), 'a canary escape is in the log')
})

test('a directory that the server has open is not open inside', async () => {
  const shown = join(bench.dataDir, 'open')
  mkdirSync(shown, { mode: 0o755 })
  writeFileSync(join(shown, 'secret'), canary, { mode: 0o644 })
  const directory = openSync(shown, 'r')
  const support = join(import.meta.dirname, '../sandbox/support.ts')
  const source = `
    import { openBench, sh } from ${JSON.stringify(support)}
    await using bench = await openBench()
    const sandbox = await bench.open(964)
    const { stdout } = await sh(sandbox, 'ls -l /proc/self/fd; cat /proc/self/fd/200/secret')
    console.log(stdout)`
  const stdio: ('pipe' | 'ignore' | 'inherit' | number)[] = ['ignore', 'pipe', 'inherit']
  while (stdio.length < 200) stdio.push('ignore')
  stdio.push(directory)
  const args = ['--conditions=longhaul', '--input-type=module', '-e', source]
  const child = spawn(process.execPath, args, { stdio })
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
  assert.match(said, / 0 -> /)
  assert.ok(!said.includes(canary), 'the canary was read through the open directory')
})
