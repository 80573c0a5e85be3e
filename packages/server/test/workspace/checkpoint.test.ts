/** What of a workspace goes into a checkpoint, and comes out of it elsewhere: real git, real sandbox. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import {
  CheckpointFailed,
  restoreCheckpoint,
  type Taken,
  takeCheckpoint,
} from '../../src/workspace/checkpoint.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

const mib = 1024 * 1024
const branch = 'agent/mend'

let bench: Bench
let slots = 930
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** Two clones of the same repository, on the task's branch. */
async function clones(): Promise<{ here: Sandbox; there: Sandbox; base: string }> {
  slots += 2
  const here = await bench.open(slots)
  const there = await bench.open(slots + 1)
  const bases = []
  for (const sandbox of [here, there]) bases.push((await run(sandbox, first)).trim())
  assert.equal(bases[0], bases[1])
  return { here, there, base: bases[0] ?? '' }
}

const first = `export GIT_AUTHOR_DATE='@1 +0000' GIT_COMMITTER_DATE='@1 +0000'
  git init -q -b main . && printf 'one\\n' > a.txt && mkdir dir && echo b > dir/b.txt && echo c > c.txt
  echo '*.log' > .gitignore && git add . && git commit -qm base && git switch -qc ${branch}
  git rev-parse HEAD`

async function run(sandbox: Sandbox, script: string): Promise<string> {
  const { exitCode, stdout, stderr } = await sh(sandbox, `set -e\n${script}`)
  assert.equal(exitCode, 0, stderr)
  return stdout
}

async function take(
  sandbox: Sandbox,
  o: { base: string; last?: string | null; bytesMax?: number; byProducts?: readonly string[] },
): Promise<{ taken: Taken; bundle: Buffer }> {
  const pieces: Buffer[] = []
  const taken = await takeCheckpoint(
    { sandbox, signal: never },
    {
      ...{ base: o.base, branch, last: o.last ?? null, byProducts: o.byProducts ?? [] },
      ...{ bytesMax: o.bytesMax ?? mib, clock: systemClock },
      store: async ({ content }) => {
        for await (const piece of content) pieces.push(piece)
      },
    },
  )
  return { taken, bundle: Buffer.concat(pieces) }
}

async function restore(sandbox: Sandbox, commit: string, bundle: Buffer): Promise<void> {
  async function* content(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bundle.length; at += 100) yield bundle.subarray(at, at + 100)
  }
  await restoreCheckpoint(
    { sandbox, signal: never },
    { commit, content: content(), clock: systemClock },
  )
}

/** Everything that the agent may ask of its workspace. */
const look = `git status --porcelain=v2 --branch --untracked-files=all; git log --all --format='%H %D %s' -g
  git for-each-ref --format='%(refname) %(objectname)' refs/heads
  git stash list --format='%H'; git diff; git diff --cached
  find . -path ./.git -prune -o -not -type d -printf '%p %M %l\\n' | sort; cat a.txt "new file.txt"`

test('commits, branches, stashes, the index and the files are the same where they are put back', async () => {
  const { here, there, base } = await clones()
  await run(
    here,
    `echo stashed > a.txt && git stash -q && echo again > a.txt && git stash -q
    echo two > a.txt && git commit -qam 'Mine'
    git switch -qc other && echo x > other.txt && git add . && git commit -qm Other && git switch -q -
    echo staged >> dir/b.txt && git add dir/b.txt && echo unstaged >> dir/b.txt
    echo new > "new file.txt" && chmod +x "new file.txt" && ln -s /etc/passwd link && rm c.txt
    git rm -q --cached .gitignore && mkdir -p deep/er && echo d > deep/er/f && echo no > deep/x.log`,
  )
  const { taken, bundle } = await take(here, { base })
  assert.equal(taken.kind, 'taken')
  const commit = taken.kind === 'taken' ? taken.commit : ''
  assert.match(bundle.toString('latin1', 0, 20), /^# v2 git bundle\n/)
  await restore(there, commit, bundle)
  const states = [here, there].map(async (sandbox) =>
    (await run(sandbox, look)).replace(/^.*(HEAD@|stash@|x\.log).*\n/gm, ''),
  )
  const [was, is] = await Promise.all(states)
  assert.equal(is, was)
  // What is ignored is not in it, and nothing else is missing.
  assert.equal(await run(there, 'test -e deep/x.log || echo gone'), 'gone\n')
  // The same state has the same name.
  assert.deepEqual((await take(there, { base, last: commit })).taken, { kind: 'same' })
  await run(there, 'git switch -q --detach')
  const { taken: next } = await take(there, { base, last: commit })
  assert.equal(next.kind, 'taken')
})

test('a workspace as it was cloned is clean, by-products or not, and taking leaves no trace in it', async () => {
  const { here, base } = await clones()
  const trace = 'find .git . -type f -exec sha256sum {} + | sort; ls -A "$TMPDIR"'
  await run(here, 'mkdir made; echo m > made/m; echo s > made.too')
  const before = await run(here, trace)
  const byProducts = ['/made', '/made.too']
  assert.deepEqual((await take(here, { base, byProducts })).taken, { kind: 'clean' })
  assert.equal(await run(here, trace), before)
  assert.equal((await take(here, { base })).taken.kind, 'taken')
  assert.equal(await run(here, trace), before)
})

test('what is larger than a checkpoint may be is not read, and what packs too large is not kept', async () => {
  const { here, base } = await clones()
  await run(here, 'head -c 1000000 /dev/zero > zeros')
  assert.equal((await take(here, { base, bytesMax: 300_000 })).taken.kind, 'taken')
  assert.equal((await take(here, { base, bytesMax: 200_000 })).taken.kind, 'too_large')
  await run(here, 'head -c 200000 /dev/urandom > zeros')
  const { taken, bundle } = await take(here, { base, bytesMax: 100_000 })
  assert.equal(taken.kind, 'too_large')
  assert.ok(bundle.length <= 100_000)
})

test('hooks, filters, settings, marks and references of the agent decide nothing', async () => {
  const { here, there, base } = await clones()
  await run(
    here,
    `t=$PWD/.git/trap; printf '#!/bin/sh\\ntouch "$HOME/ran"\\ncat\\n' > "$t"; chmod +x "$t"
    for hook in post-index-change reference-transaction post-checkout pre-auto-gc; do ln -s "$t" .git/hooks/$hook; done
    git config core.fsmonitor "$t"; git config filter.x.clean "$t"; git config core.hooksPath .git/hooks
    echo '* filter=x' > .git/info/attributes; echo '*' > .git/info/exclude
    git config core.bigFileThreshold 1
    git update-ref refs/longhaul/0 HEAD; git update-ref refs/longhaul/checkpoint HEAD
    git update-index --skip-worktree a.txt --assume-unchanged c.txt
    git config core.worktree /; rm -f "$HOME/ran"; echo hidden > a.txt; echo hidden > c.txt; echo new > new.txt`,
  )
  const { taken, bundle } = await take(here, { base })
  assert.equal(taken.kind, 'taken')
  assert.equal(await run(here, 'test ! -e "$HOME/ran" || echo ran'), '')
  await restore(there, taken.kind === 'taken' ? taken.commit : '', bundle)
  assert.equal(await run(there, 'cat a.txt c.txt new.txt'), 'hidden\nhidden\nnew\n')
  const left =
    'git config --local --list | grep -c "filter\\|hooks\\|fsmonitor"; git for-each-ref refs/longhaul; ls .git/hooks | grep -v sample'
  assert.equal((await sh(there, left)).stdout, '0\n')
})

test('a broken index is read anew, and a repository that is gone is said to be', async () => {
  const { here, base } = await clones()
  await run(here, 'echo broken > .git/index; echo two > a.txt')
  assert.equal((await take(here, { base })).taken.kind, 'taken')
  await run(here, 'mv .git aside')
  await assert.rejects(take(here, { base }), CheckpointFailed)
})

test('what is no bundle changes nothing', async () => {
  const { there, base } = await clones()
  const before = await run(there, look.replace('"new file.txt"', ''))
  await assert.rejects(restore(there, base, Buffer.from('# v2 git bundle\nno\n\nPACK')), {
    isFinal: true,
  })
  assert.equal(await run(there, look.replace('"new file.txt"', '')), before)
})
