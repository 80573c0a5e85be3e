/** What is read of `.github/workflows`, and that no object store of the agent's can lie about it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Workspace } from '../../src/workspace/git.ts'
import { readWorkflows } from '../../src/workspace/workflows.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let opened = 0
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** A repository with one workflow, in which `script` has run; `$base` is its first commit. */
async function repository(script: string, format = 'sha1') {
  opened += 1
  const sandbox = await bench.open(opened)
  const run = async (command: string): Promise<string> => {
    const end = await sh(sandbox, `set -e; ${command}`)
    assert.equal(end.exitCode, 0, end.stderr)
    return end.stdout.trim()
  }
  await run(
    `git init -q --object-format=${format} .; mkdir -p .github/workflows src
     echo 'on: push' >.github/workflows/ci.yml; echo '* @acme' >.github/CODEOWNERS; echo 1 >src/a
     git add .; git commit -qm base`,
  )
  const base = await run('git rev-parse HEAD')
  await run(`base=${base}; ${script}`)
  const workspace: Workspace = { sandbox, signal: never }
  const tip = await run('git rev-parse HEAD')
  const read = async (commit = tip) => {
    const [here, before] = await readWorkflows(workspace, [commit, base])
    return { here, before }
  }
  return { run, base, tip, read }
}

const commit = 'git add -A; git commit -qm next'

for (const [what, script] of [
  [
    'files elsewhere',
    `echo 2 >src/a; echo >.github/CODEOWNERS; mkdir -p a/.github/workflows; echo x >a/.github/workflows/x; ${commit}`,
  ],
  ['nothing', 'git commit -q --allow-empty -m next'],
  [
    'a workflow, and back',
    `echo x >.github/workflows/x.yml; ${commit}; git rm -q .github/workflows/x.yml; git commit -qm back`,
  ],
] as const)
  test(`a commit that changes ${what} has the workflows of the base`, async () => {
    const { here, before } = await (await repository(script)).read()
    assert.match(String(here), /^40000 [0-9a-f]{40}$/)
    assert.equal(here, before)
  })

for (const [what, script] of [
  ['edits a workflow', `echo 'on: pull_request_target' >.github/workflows/ci.yml; ${commit}`],
  ['adds one', `echo x >.github/workflows/x.yml; ${commit}`],
  ['makes one executable', `chmod +x .github/workflows/ci.yml; ${commit}`],
  ['renames one', `git mv .github/workflows/ci.yml .github/workflows/x.yml; ${commit}`],
  ['adds one deeper', `mkdir .github/workflows/a; echo x >.github/workflows/a/x.yml; ${commit}`],
  ['removes the directory', `git rm -qr .github/workflows; ${commit}`],
  ['makes .github a link', `mv .github real; ln -s real .github; ${commit}`],
  ['makes workflows a link', `mv .github/workflows w; ln -s ../w .github/workflows; ${commit}`],
] as const)
  test(`a commit that ${what} has other workflows`, async () => {
    const { here, before } = await (await repository(script)).read()
    assert.notEqual(here, null)
    assert.notEqual(here, before)
  })

test('a repository with SHA-256 ids is read as well', async () => {
  const same = await (await repository(`echo 2 >src/a; ${commit}`, 'sha256')).read()
  assert.match(String(same.here), /^40000 [0-9a-f]{64}$/)
  assert.equal(same.here, same.before)
  const other = await (
    await repository(`echo x >.github/workflows/ci.yml; ${commit}`, 'sha256')
  ).read()
  assert.notEqual(other.here, other.before)
})

/** Puts the file of the object $2 in the place of that of the object $1, below $3. */
const lie = `file() { local id; id=$(git rev-parse "$1"); echo "\${id:0:2}/\${id:2}"; }
lie() {
  local to=$3/$(file $1); mkdir -p "\${to%/*}"
  cp -f .git/objects/$(file $2) "$to.new"; mv -f "$to.new" "$to"
}
`
const evil = `echo 'on: pull_request_target' >.github/workflows/ci.yml; ${commit}; tip=$(git rev-parse HEAD)`

for (const [what, script] of [
  ['the commit', 'lie $tip $base .git/objects'],
  ['its root directory', 'lie $(git rev-parse $tip^{tree}) $base^{tree} .git/objects'],
  ['its .github', 'lie $(git rev-parse $tip:.github) $base:.github .git/objects'],
  [
    'its root directory, in an alternate store',
    `root=$(git rev-parse $tip^{tree}); mkdir -p "$HOME/other"; lie $root $base^{tree} "$HOME/other"
     rm -f .git/objects/\${root:0:2}/\${root:2}; echo "$HOME/other" >.git/objects/info/alternates`,
  ],
] as const)
  test(`an object store that lies about ${what} is not believed, though git is`, async () => {
    const { run, base, tip, read } = await repository(`${lie}${evil}; ${script}`)
    const shown = await run(`git rev-parse ${tip}:.github/workflows ${base}:.github/workflows`)
    const [ofTip, ofBase] = shown.split('\n')
    assert.equal(ofTip, ofBase, 'git itself is fooled')
    assert.equal((await read(tip)).here, null)
  })

test('what git shows in place of a commit is not what is read', async () => {
  const { base, tip, run, read } = await repository(`${evil}; git replace $tip $base`)
  const shown = await run(`git rev-parse ${tip}:.github/workflows ${base}:.github/workflows`)
  assert.equal(new Set(shown.split('\n')).size, 1, 'git itself is fooled')
  const { here, before } = await read(tip)
  assert.ok(here !== null && here !== before)
})

test('a directory with two entries of one name is not read', async () => {
  const { read, tip } = await repository(`
    ${evil}; good=$(git rev-parse $base:.github); bad=$(git rev-parse $tip:.github)
    bin() { printf '40000 .github\\0'; printf "$(sed 's/../\\\\x&/g' <<<$1)"; }
    root=$({ bin $good; bin $bad; } | git hash-object -t tree --literally -w --stdin)
    git reset -q --soft $(git commit-tree -m two -p $base $root)`)
  assert.equal((await read(tip)).here, null)
})

test('a commit that is not there, is no commit, or is in no repository is not read', async () => {
  const { run, base, read } = await repository('true')
  assert.equal((await read('0123456789'.repeat(4))).here, null)
  assert.equal((await read(await run(`git rev-parse ${base}^{tree}`))).here, null)
  await run('rm -rf .git')
  assert.deepEqual(await read(base), { here: null, before: null })
})
