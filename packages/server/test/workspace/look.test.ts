/** What the git tools do in a clone that its agent has filled with traps: real git, real sandbox. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { commit } from '../../src/workspace/commit.ts'
import { GitFailed, type Workspace } from '../../src/workspace/git.ts'
import { diff, log, status } from '../../src/workspace/look.ts'
import { FileRefused } from '../../src/workspace/path.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let sandbox: Sandbox
let workspace: Workspace
let base: string
before(async () => {
  bench = await openBench()
  sandbox = await bench.open(942)
  workspace = { sandbox, signal: never }
  const made = await sh(
    sandbox,
    `set -e; git init -q . && printf 'one\\n' > a.txt && mkdir dir && echo b > dir/b.txt
    git add . && git commit -qm base && git rev-parse HEAD`,
  )
  base = made.stdout.trim()
})
after(() => bench[Symbol.asyncDispose]())

/** In the home: every command has a /tmp of its own here. */
const marker = '$HOME/ran'
/** Everything in a clone's settings that git would run for these commands. */
const traps = `
  printf '#!/bin/sh\\ntouch "${marker}"\\ncat "$2" 2>/dev/null\\nexit 0\\n' > .git/trap; chmod +x .git/trap
  t=$PWD/.git/trap
  git config core.fsmonitor "$t"; git config core.pager "$t"; git config diff.external "$t"
  git config diff.x.textconv "$t"; git config diff.x.command "$t"; echo '*.txt diff=x' > .gitattributes
  git config alias.status "!$t"; git config alias.log "!$t"; git config core.editor "$t"
  git config gpg.program "$t"; git config commit.gpgSign true; git config log.showSignature true
  git config core.hooksPath .git/hooks; git config pager.log "$t"; git config pager.diff "$t"
  for hook in pre-commit prepare-commit-msg commit-msg post-commit; do ln -sf "$t" .git/hooks/$hook; done`

test('no hook, monitor, pager, alias, external diff or signer of a clone runs', async () => {
  const set = await sh(
    sandbox,
    `set -e; ${traps}; printf 'two\\n' > a.txt; git status >/dev/null; rm "${marker}"`,
  )
  assert.equal(set.exitCode, 0, `the traps work: ${set.stderr}`)
  assert.match(await status(workspace), / M a\.txt\n\?\? \.gitattributes\n$/)
  assert.match(await diff(workspace, { from: base, summary: false }), /^-one\n\+two$/m)
  assert.match(await diff(workspace, { from: 'HEAD', summary: true }), /a\.txt \| 2 \+-/)
  assert.match(await log(workspace, { revision: 'HEAD', limit: 5 }), /: base\n$/)
  const made = await commit(workspace, { base, message: 'Mine', paths: [] })
  assert.match(made, /^[0-9a-f]{7} Mine\n\n/)
  const { stdout } = await sh(sandbox, `test -e "${marker}" && echo ran; git cat-file -p HEAD`)
  assert.doesNotMatch(stdout, /^ran|gpgsig/m)
})

test('a revision is a commit that is there, and never an option', async () => {
  for (const revision of [
    '--output=/tmp/x',
    '-n1',
    '--all',
    'none',
    `${base}..HEAD`,
    'HEAD:a.txt',
  ]) {
    await assert.rejects(log(workspace, { revision, limit: 1 }), FileRefused, revision)
    await assert.rejects(diff(workspace, { from: revision, summary: false }), FileRefused, revision)
    const to = diff(workspace, { from: base, to: revision, summary: false })
    await assert.rejects(to, FileRefused, revision)
  }
  const { stdout } = await sh(sandbox, 'ls -A')
  assert.doesNotMatch(stdout, /^x$/m)
})

test('paths are taken literally, and none leads out of the workspace or into git', async () => {
  await sh(sandbox, `ln -s "$HOME" out; touch '*'; echo new > dir/new.txt`)
  const limit = 5
  assert.match(await log(workspace, { revision: 'HEAD', path: 'dir', limit }), /: base\n$/)
  assert.equal(await log(workspace, { revision: 'HEAD', path: '*', limit }), '')
  assert.equal(await log(workspace, { revision: 'HEAD', path: ':(top)a.txt', limit }), '')
  for (const path of ['..', '../x', '/etc/passwd', '.git/config', 'a\0b']) {
    await assert.rejects(log(workspace, { revision: 'HEAD', path, limit }), FileRefused)
    await assert.rejects(diff(workspace, { from: base, path, summary: false }), FileRefused)
    await assert.rejects(commit(workspace, { base, message: 'x', paths: [path] }), FileRefused)
  }
  const through = commit(workspace, { base, message: 'x', paths: ['out/secret'] })
  await assert.rejects(
    through,
    (error) => error instanceof GitFailed && /symbolic/.test(error.message),
  )
  const made = await commit(workspace, { base, message: 'Only new', paths: ['dir'] })
  assert.match(made, /dir\/new\.txt \| 1 \+\n 1 file changed/)
  const nothing = commit(workspace, { base, message: 'x', paths: ['dir'] })
  await assert.rejects(nothing, /There is nothing to commit/)
})

test('of a difference that is too long the middle is left out', async () => {
  await sh(sandbox, 'seq 100000 > a.txt')
  const shown = await diff(workspace, { from: 'HEAD', summary: false })
  assert.ok(shown.length < 70_000)
  assert.match(shown, /\[… \d+ bytes left out …\]/)
})
