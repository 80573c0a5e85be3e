/** What an agent may leave in its clone, and what becomes of it: real git in a real sandbox. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { changedFiles, commitAll } from '../../src/workspace/changes.ts'
import { GitFailed, git, tryGit, type Workspace } from '../../src/workspace/git.ts'
import { bundleOtherWork } from '../../src/workspace/other-work.ts'
import { patch } from '../../src/workspace/patch.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let opened = 0
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

const branch = 'agent/task'

/** A clone on the task's branch, with one commit, in which the agent's `script` has run. */
async function clone(script: string) {
  opened += 1
  const sandbox = await bench.open(opened)
  const run = async (command: string): Promise<string> => {
    const end = await sh(sandbox, `set -e; ${command}`)
    assert.equal(end.exitCode, 0, end.stderr)
    return end.stdout.trim()
  }
  await run('git init -q . && echo old >file && git add . && git commit -qm base')
  const base = await run('git rev-parse HEAD')
  await run(`git switch -qc ${branch}; ${script}`)
  const workspace: Workspace = { sandbox, signal: never }
  const commit = () => commitAll(workspace, { base, branch, message: 'The order.', byProducts: [] })
  return { workspace, base, run, commit }
}

/** The paths and contents of a commit. */
const treeOf = (workspace: Workspace) => git(workspace, ['ls-tree', '-r', 'HEAD'])

test('the files of embedded repositories are committed: without a commit, with one, in each other, or linked', async () => {
  const { workspace, base, commit } = await clone(`
    git init -q none; echo 1 >none/a; echo '*.log' >none/.gitignore; echo 2 >none/b.log
    git init -q none/inner; echo 3 >none/inner/c
    git init -q empty
    git init -q full; (cd full; echo 4 >d; git add d; git commit -qm full; echo 5 >e)
    git init -q 'li nk'; (cd 'li nk'; echo 6 >f; git add f; git commit -qm link)
    git add 'li nk' 2>/dev/null; git commit -qm linked; echo new >file`)
  const { commits } = await commit()
  assert.deepEqual(
    commits.map(({ subject }) => subject),
    ['linked', 'The order.'],
  )
  const names = await changedFiles(workspace, base)
  const files = ['none/.gitignore', 'none/a', 'none/inner/c', 'full/d', 'full/e', 'li nk/f', 'file']
  assert.deepEqual(names.sort(), files.sort())
  assert.doesNotMatch(await treeOf(workspace), /160000/)
  const again = await commit()
  assert.deepEqual(again.commits, commits)
})

test('a submodule that .gitmodules names stays one', async () => {
  const { workspace, commit } = await clone(`
    git init -q lib; (cd lib; echo 1 >a; git add a; git commit -qm lib)
    git -c protocol.file.allow=always submodule --quiet add ./lib lib`)
  await commit()
  assert.match(await treeOf(workspace), /^160000 commit \w+\tlib$/m)
})

test('what git puts into no commit is left out, and named; everything else is committed', async () => {
  const { workspace, base, run, commit } = await clone(`
    for n in git~1 GIT~1 '.git ' .git. '.git. .' '.git::$INDEX_ALLOCATION' $(printf '.g\\u200cit') new/git~1
    do mkdir -p "$n/in"; echo 1 >"$n/in/x"; done
    git config core.protectNTFS false; echo 1 >new/a; echo 2 >z; echo new >file; chmod +x file
    git init -q 'git~1'; git init -q sub; echo 3 >sub/b; echo 4 >secret; chmod 0 secret
    mkdir closed; echo 5 >closed/c; chmod 0 closed; ln -s file .gitmodules`)
  const { commits, leftOut } = await commit()
  assert.equal(commits.length, 1)
  const kept = ['closed/c', 'file', 'new/a', 'secret', 'sub/b', 'z']
  assert.deepEqual(await changedFiles(workspace, base), kept)
  assert.deepEqual(
    [...leftOut].sort(),
    [
      ...['.git ', '.git. .', '.git.', '.git::$INDEX_ALLOCATION', '.gitmodules', '.g\u200cit'],
      ...['GIT~1', 'git~1', 'new/git~1'],
    ].sort(),
  )
  assert.equal((await patch(workspace, base)).includes('git~1'), false)
  assert.deepEqual((await commit()).commits, commits)
  await run('rm file; mkdir file; echo 6 >file/d; rm -rf new; ln -s file new')
  await commit()
  const then = ['closed/c', 'file', 'file/d', 'new', 'secret', 'sub/b', 'z']
  assert.deepEqual(await changedFiles(workspace, base), then)
})

test('files that the agent made unreadable are committed', async () => {
  const { workspace, base, commit } = await clone(`
    echo 1 >secret; mkdir -p closed/deep; echo 2 >closed/deep/file; echo 3 >file
    chmod 0 secret closed file`)
  await commit()
  const names = await changedFiles(workspace, base)
  assert.deepEqual(names, ['closed/deep/file', 'file', 'secret'])
})

test('no setting of the clone alone decides what is committed: marks, attributes, filters, ignore lists', async () => {
  const { workspace, base, commit } = await clone(`
    echo '*.sh filter=evil' >.git/info/attributes; echo hidden >.git/info/exclude
    git config filter.evil.clean 'echo evil'; git config filter.evil.required true
    printf '[filter "evil"]\n\tclean = echo evil\n' >.git/more; git config include.path more
    git update-index --assume-unchanged file
    echo good >note.sh; echo new >file; echo 1 >hidden`)
  const { commits } = await commit()
  assert.equal(commits.length, 1)
  assert.deepEqual((await changedFiles(workspace, base)).sort(), ['file', 'hidden', 'note.sh'])
  assert.equal(await git(workspace, ['show', 'HEAD:note.sh']), 'good\n')
  assert.equal(await git(workspace, ['show', 'HEAD:file']), 'new\n')
})

test('locks of killed git commands are in nobody’s way', async () => {
  const { commit } = await clone('echo new >file; touch .git/index.lock .git/HEAD.lock')
  assert.equal((await commit()).commits.length, 1)
})

test('what cannot be committed is an answer, and a whole patch is made nevertheless', async () => {
  const { workspace, base, run, commit } = await clone(`
    echo new >file; echo more >more; git init -q sub; echo 1 >sub/a
    git commit -qam own; echo newer >file; find .git -type d -exec chmod u-w {} +`)
  await assert.rejects(commit(), (error) => error instanceof GitFailed && error.isFinal)
  const text = (await patch(workspace, base)).toString()
  assert.match(text, /^\+newer$/m)
  assert.match(text, /^\+\+\+ b\/sub\/a$/m)
  await run('find .git -type d -exec chmod u+w {} +')
})

test('a patch that cannot be made whole is none', async () => {
  const { workspace, base } = await clone('echo new >file; head -c 70M /dev/urandom >large')
  await assert.rejects(patch(workspace, base), GitFailed)
})

test('a patch applies whatever bytes it carries and whatever the repository’s settings are', async () => {
  const write = "printf 'caf\\xe9\\n' >file; head -c 5000 /dev/urandom >binary"
  const { workspace, base, run } = await clone(`
    ${write}; printf 'n\\n' >"$(printf 'n\\xe9')"; echo 1 >moved
    git config color.ui always; git config diff.noprefix true; git config diff.external false`)
  const data = await patch(workspace, base)
  await workspace.sandbox.exec(['sh', '-c', 'cat >../tmp/patch'], {
    ...{ input: data, network: false, timeoutMs: 60_000, outputBytesMax: 1000, signal: never },
  })
  await run(`git worktree add -q --detach ../tmp/copy ${base}; cd ../tmp/copy; git apply ../patch`)
  await run('diff -r --exclude .git . ../tmp/copy')
})

test('nothing changed is no commit, no patch and no bundle', async () => {
  const { workspace, base, commit } = await clone('true')
  assert.deepEqual((await commit()).commits, [])
  assert.equal((await patch(workspace, base)).length, 0)
  assert.equal(await bundleOtherWork(workspace, base), null)
})

test('work on the one branch that the agent left again is the work', async () => {
  const { workspace, base, run, commit } = await clone(`
    git switch -qc step; echo 1 >a; git add a; git commit -qm one
    git switch -qc feature; echo 2 >b; git add b; git commit -qm two
    git switch -q main 2>/dev/null || git switch -q master`)
  const { commits, taken } = await commit()
  assert.equal(taken, 'feature')
  assert.deepEqual(
    commits.map(({ subject }) => subject),
    ['one', 'two'],
  )
  assert.equal(await run('cat a b'), '1\n2')
  assert.equal(await bundleOtherWork(workspace, base), null)
})

test('the task’s own branch is the work, also when others go beyond the base', async () => {
  const { commit } = await clone(`
    echo 1 >a; git add a; git commit -qm own
    git switch -q --detach HEAD~; echo 2 >b; git add b; git commit -qm other; git branch other
    git switch -q --detach HEAD~`)
  assert.equal((await commit()).taken, branch)
})

test('what else was left, on branches, in stashes or on no branch, is one bundle', async () => {
  const { workspace, base, run, commit } = await clone(`
    git switch -qc one; echo 1 >a; git add a; git commit -qm one
    git switch -qc two ${branch}; echo 2 >b; git add b; git commit -qm two
    git switch -q --detach ${branch}; echo 3 >c; git add c; git commit -qm three
    git switch -q ${branch}; echo 4 >file; git stash -q; echo 5 >file; git stash -q`)
  const { commits, taken } = await commit()
  assert.deepEqual(commits, [])
  assert.equal(taken, undefined)
  const bundle = await bundleOtherWork(workspace, base)
  assert.ok(bundle)
  await workspace.sandbox.exec(['sh', '-c', 'cat >../tmp/bundle'], {
    ...{ input: bundle, network: false, timeoutMs: 60_000, outputBytesMax: 1000, signal: never },
  })
  await run(`git init -q ../tmp/other; cd ../tmp/other
    git fetch -q ../../workspace ${base}; git fetch -q ../bundle 'refs/heads/*:refs/heads/*'`)
  const heads = await run(
    'cd ../tmp/other; git for-each-ref --format="%(refname:short)" refs/heads',
  )
  assert.match(heads, /^left-\w{12}\nleft-\w{12}\nleft-\w{12}\none\ntwo$/)
  const texts = await run(
    'cd ../tmp/other; for ref in $(git branch --format="%(refname:short)"); do git show $ref:file; done',
  )
  assert.deepEqual(texts.split('\n').sort(), ['4', '5', 'old', 'old', 'old'])
})

test('commits that were amended away are nobody’s work', async () => {
  const { workspace, base, commit } = await clone(
    'echo 1 >a; git add a; git commit -qm one; echo 2 >a; git commit -qa --amend -m two',
  )
  await commit()
  assert.equal(await bundleOtherWork(workspace, base), null)
})

test('output of git that lost its middle is refused, and a directory without a repository is not the one above', async () => {
  const { workspace, run } = await clone('head -c 20000 /dev/zero | tr "\\0" x >file')
  const cut = git(workspace, ['diff'], { outputBytesMax: 1000 })
  await assert.rejects(cut, /git diff failed: it printed too much/)
  await run('rm -rf .git')
  const { stderr } = await tryGit(workspace, ['status'])
  assert.match(stderr, /not a git repository/)
})
