/**
 * Git of the server in a workspace that the agent can write: the vectors of 2.8 of the sandbox
 * reference. Every one of them runs what it likes where git runs, which is inside; the marker lies
 * outside, where only a git on the host would get.
 */
import assert from 'node:assert/strict'
import { chmod, mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { commitAll } from '../../src/workspace/changes.ts'
import { commit } from '../../src/workspace/commit.ts'
import { diff as diffList } from '../../src/workspace/diff.ts'
import type { Workspace } from '../../src/workspace/git.ts'
import { diff, log, status } from '../../src/workspace/look.ts'
import { bundleOtherWork } from '../../src/workspace/other-work.ts'
import { patch } from '../../src/workspace/patch.ts'
import { type Bench, never, openBench } from '../sandbox/support.ts'
import { assertUnread, attack, canary, plant, rootOnly } from './attack.ts'

let bench: Bench
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** What the payload makes, if it runs on the host. */
const marker = () => join(bench.dataDir, 'executed')
/** A trap that is a program, and one that passes its input on, as filters do. */
const traps = () => `
  printf '#!/bin/sh\\ntouch ${marker()}\\n' >.git/trap
  printf '#!/bin/sh\\ntouch ${marker()}\\ncat "\${1:--}"\\n' >.git/filter
  chmod 755 .git/trap .git/filter`

/** A clone with one commit and a change, in which the agent's `script` has run; all that may fail. */
async function server(slot: number, script: string): Promise<void> {
  const sandbox = await bench.open(slot)
  const made = await attack(
    sandbox,
    `set -e; git init -q .; printf 'one\\n' >a.txt; git add .; git commit -qm base
    git rev-parse HEAD; ${traps()}; t=$PWD/.git/trap; f=$PWD/.git/filter
    ${script}
    [ -e a.txt ] && printf 'two\\n' >a.txt`,
  )
  const base = made.stdout.slice(0, 40)
  const workspace: Workspace = { sandbox, signal: never }
  const { signal } = workspace
  const all: (() => Promise<unknown>)[] = [
    () => status(workspace),
    () => diff(workspace, { from: base, summary: false }),
    () => diff(workspace, { from: 'HEAD', summary: true }),
    () => log(workspace, { revision: 'HEAD', limit: 5 }),
    () => patch(workspace, base),
    () => commit(workspace, { base, message: 'Mine', paths: [] }),
    () => commitAll(workspace, { base, branch: 'agent/x', message: 'Rest', byProducts: [] }),
    () => diffList(workspace, { base, tip: 'HEAD' }),
    () => bundleOtherWork(workspace, base),
  ]
  for (const each of all) {
    signal.throwIfAborted()
    await each().catch(() => undefined) // A repository that breaks its own git hurts nobody else.
  }
  const found = await stat(marker()).catch(() => null)
  await rm(marker(), { force: true })
  assert.equal(found, null, 'the canary program ran on the host')
}

test('core.fsmonitor runs nothing on the host', () => server(931, 'git config core.fsmonitor "$t"'))

test('hooks run nothing on the host', () =>
  server(
    932,
    `git config core.hooksPath .git/hooks
    for h in pre-commit commit-msg post-commit post-index-change reference-transaction; do
      ln -sf "$t" .git/hooks/$h; done`,
  ))

test('diff.external runs nothing on the host', () => server(933, 'git config diff.external "$t"'))

test('a textconv driver runs nothing on the host', () =>
  server(934, 'git config diff.x.textconv "$f"; echo "*.txt diff=x" >.gitattributes'))

test('a clean filter runs nothing on the host', () =>
  server(935, 'git config filter.x.clean "$f"; echo "*.txt filter=x" >.gitattributes'))

test('a bare repository in place of the clone runs nothing on the host', () =>
  server(
    936,
    `mv .git/* .; rm -rf .git; git config --file config core.bare false
    git config --file config core.worktree "$PWD"; git config --file config core.fsmonitor "$PWD/trap"`,
  ))

test('git inside trusts no repository of another owner', { skip: rootOnly }, async () => {
  const shown = join(bench.dataDir, 'theirs')
  await mkdir(shown)
  await plant('git', 'init', '-q', shown)
  await plant('git', '-C', shown, 'config', 'core.fsmonitor', `echo ${canary} >~/read; true`)
  await plant('chmod', '-R', 'a+rX', shown)
  await chmod(shown, 0o755)
  const sandbox = await bench.open(937)
  const script = `git -C ${shown} status; cat ~/read`
  const result = await attack(sandbox, script, { show: [shown] })
  assertUnread(result)
  assert.match(result.stderr, /dubious ownership/)
})
