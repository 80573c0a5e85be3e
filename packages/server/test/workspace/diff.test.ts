/** What a task has changed, as a reader is shown it: real git in a real sandbox, hostile names and all. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { taskDiff } from '@longhaul/client/contract'
import { diff } from '../../src/workspace/diff.ts'
import { GitFailed, type Workspace } from '../../src/workspace/git.ts'
import { type Bench, never, openBench, sh } from '../sandbox/support.ts'

let bench: Bench
let opened = 0
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** The difference that `change` makes to what `begin` commits. */
async function differ(begin: string, change: string) {
  opened += 1
  const sandbox = await bench.open(opened)
  const run = async (command: string): Promise<string> => {
    const end = await sh(sandbox, `set -e; ${command}`)
    assert.equal(end.exitCode, 0, end.stderr)
    return end.stdout.trim()
  }
  await run(`git init -q . && ${begin}; git add -A && git commit -qm base`)
  const base = await run('git rev-parse HEAD')
  await run(`${change}; git add -A && git commit -qm change`)
  const tip = await run('git rev-parse HEAD')
  const workspace: Workspace = { sandbox, signal: never }
  const made = await diff(workspace, { base, tip })
  assert.deepEqual(taskDiff.parse(made.diff), made.diff)
  const { exitCode, stdout, stderr } = await sandbox.exec(
    ['sh', '-c', `git checkout -q --force ${base} && git apply --index && git write-tree`],
    {
      ...{ network: false, timeoutMs: 60_000, outputBytesMax: 9999, signal: never },
      input: made.patch,
    },
  )
  const tree = await run(`git rev-parse ${tip}^{tree}`)
  return {
    ...made,
    base,
    tip,
    workspace,
    applied: { isWhole: stdout.trim() === tree, exitCode, stderr },
  }
}

const file = (path: string, o: object) => ({
  ...{ path, path_base64: null, old_path: null, old_path_base64: null },
  ...{ old_mode: '100644', new_mode: '100644', additions: 0, deletions: 0 },
  ...{ status: 'modified', binary: false, truncated: false, hunks: [] },
  ...o,
})

test('every way in which a file may change is told by its status, its modes and its lines', async () => {
  const {
    diff: made,
    applied,
    base,
    tip,
  } = await differ(
    `(echo 'main {'; seq 1 30) > edited; echo gone > deleted; echo x > mode; seq 1 9 > moved; echo t > typed; printf a > bare`,
    `sed -i 's/^2$/two/; s/^28$/x/' edited; rm deleted; chmod +x mode; git mv moved to; rm typed
     ln -s edited typed; printf 'a\nb' > bare; echo new > added; : > empty`,
  )
  assert.equal(applied.isWhole, true, applied.stderr)
  const typed = { old_lines: 1, new_lines: 0, new_start: 0, old_start: 1, heading: '' }
  assert.deepEqual(made, {
    base_commit: base,
    commit: tip,
    additions: 6,
    deletions: 5,
    truncated: false,
    files: [
      file('added', {
        ...{ status: 'added', old_mode: null, additions: 1 },
        hunks: [
          { old_start: 0, old_lines: 0, new_start: 1, new_lines: 1, heading: '', lines: ['+new'] },
        ],
      }),
      file('bare', {
        ...{ additions: 2, deletions: 1 },
        hunks: [
          {
            ...{ old_start: 1, old_lines: 1, new_start: 1, new_lines: 2, heading: '' },
            lines: ['-a', String.raw`\ No newline at end of file`, '+a', '+b'].concat(
              String.raw`\ No newline at end of file`,
            ),
          },
        ],
      }),
      file('deleted', {
        ...{ status: 'deleted', new_mode: null, deletions: 1 },
        hunks: [{ ...typed, lines: ['-gone'] }],
      }),
      file('edited', {
        ...{ additions: 2, deletions: 2 },
        hunks: [
          {
            ...{ old_start: 1, old_lines: 6, new_start: 1, new_lines: 6, heading: '' },
            lines: [' main {', ' 1', '-2', '+two', ' 3', ' 4', ' 5'],
          },
          {
            ...{ old_start: 26, old_lines: 6, new_start: 26, new_lines: 6, heading: 'main {' },
            lines: [' 25', ' 26', ' 27', '-28', '+x', ' 29', ' 30'],
          },
        ],
      }),
      file('empty', { status: 'added', old_mode: null }),
      file('mode', { new_mode: '100755' }),
      file('to', { status: 'renamed', old_path: 'moved' }),
      file('typed', {
        ...{ status: 'type_changed', new_mode: '120000', additions: 1, deletions: 1 },
        hunks: [
          { ...typed, lines: ['-t'] },
          {
            ...{ old_start: 0, old_lines: 0, new_start: 1, new_lines: 1, heading: '' },
            lines: ['+edited', String.raw`\ No newline at end of file`],
          },
        ],
      }),
    ],
  })
})

test('names are exact, whatever they hold, and content that looks like a patch is content', async () => {
  const hostile = [
    'a b',
    ' lead',
    'trail ',
    'tab\there',
    'new\nline',
    'qu"ote',
    'back\\slash',
    '-dash',
    ':colon',
    'a => b',
    '{x => y}',
    'ünï',
    'b/x b/x',
    '\u001b[31m',
    '*?[x]',
    '.git-x',
    'a\rb',
  ]
  const { diff: made, applied } = await differ(
    'echo 1 > keep; echo from > "old name"',
    `node -e 'for (const name of ${JSON.stringify(hostile).replaceAll("'", String.raw`\u0027`)}) {
       require("fs").mkdirSync(require("path").dirname(name), { recursive: true })
       require("fs").writeFileSync(name, "1\\n")
     }'
     printf 1 > "$(printf 'bad\\377byte')"; git mv "old name" "$(printf 'new\\376name')"
     printf 'diff --git a/keep b/keep\\n@@ -1 +1 @@\\n--- a/x\\n+++ b/x\\n\\n-minus\\n' > keep`,
  )
  assert.equal(applied.isWhole, true, applied.stderr)
  const added = made.files.filter(({ status }) => status === 'added')
  const exact = added.filter(({ path_base64 }) => path_base64 === null)
  assert.deepEqual(exact.map(({ path }) => path).sort(), [...hostile].sort())
  const [bad] = added.filter(({ path_base64 }) => path_base64 !== null)
  assert.equal(bad?.path, 'bad\ufffdbyte')
  assert.equal(Buffer.from(bad?.path_base64 ?? '', 'base64').toString('latin1'), 'bad\u00ffbyte')
  const renamed = made.files.find(({ status }) => status === 'renamed')
  assert.equal(renamed?.old_path, 'old name')
  assert.equal(renamed?.old_path_base64, null)
  assert.equal(
    Buffer.from(renamed?.path_base64 ?? '', 'base64').toString('latin1'),
    'new\u00fename',
  )
  const keep = made.files.find(({ path }) => path === 'keep')
  assert.equal(keep?.hunks.length, 1)
  assert.deepEqual(keep?.hunks[0]?.lines, [
    '-1',
    '+diff --git a/keep b/keep',
    '+@@ -1 +1 @@',
    '+--- a/x',
    '++++ b/x',
    '+',
    '+-minus',
  ])
})

test('binary files are named without their bytes; bytes that are no text, and NUL, are told', async () => {
  const { diff: made, patch } = await differ(
    `head -c 3000 /dev/zero > zeros; printf 'caf\\351\\n' > latin; seq 9000 > late`,
    `head -c 4000 /dev/zero > zeros; printf 'caf\\350\\n' > latin; printf 'a\\000b\\n' >> late`,
  )
  const [late, latin, zeros] = made.files
  assert.deepEqual(zeros, file('zeros', { additions: null, deletions: null, binary: true }))
  assert.deepEqual(latin?.hunks[0]?.lines, ['-caf\ufffd', '+caf\ufffd'])
  assert.ok(patch.includes(Buffer.from('-caf\u00e9\n+caf\u00e8\n', 'latin1')))
  assert.equal(late?.hunks[0]?.lines.at(-1), '+a\0b')
  assert.match(patch.toString('latin1'), /Binary files a\/zeros and b\/zeros differ/)
})

test('what the agent set decides nothing: drivers, orders, prefixes, colours, attributes', async () => {
  const { diff: made, applied } = await differ(
    `printf '1\\n\\n2\\n' > file`,
    `git config diff.noprefix true; git config diff.suppressBlankEmpty true; git config color.ui always
     git config diff.external /bin/false; git config diff.x.textconv /bin/false; git config diff.renames false
     echo z > .git/order; git config diff.orderFile .git/order; git config diff.algorithm patience
     echo '* diff=x' > .git/info/attributes; printf '0\\n\\n2\\n' > file`,
  )
  assert.equal(applied.isWhole, true, applied.stderr)
  assert.deepEqual(made.files[0]?.hunks[0]?.lines, ['-1', '+0', ' ', ' 2'])
})

test('beyond its bounds it lacks whole files and hunks, says so, and still applies', async () => {
  const {
    diff: made,
    patch,
    applied,
  } = await differ(
    'echo 1 > a',
    `echo 2 > a; seq 200000 > lines; head -c 5000000 /dev/urandom | base64 > large; echo 1 > small`,
  )
  assert.equal(made.truncated, true)
  assert.equal(applied.exitCode, 0, applied.stderr)
  assert.ok(patch.length < 4 * 1024 * 1024)
  const told = made.files.map(({ path, truncated, additions }) => [
    path,
    truncated,
    (additions ?? 0) > 0,
  ])
  assert.deepEqual(told, [
    ['a', false, true],
    ['large', true, true],
    ['lines', true, true],
    ['small', true, true],
  ])
})

test('more files than are listed are counted out, and a commit that is not there is git’s own error', async () => {
  const {
    diff: made,
    base,
    workspace,
  } = await differ('echo 1 > a', `mkdir d; for n in $(seq 3050); do echo $n > d/$n; done`)
  assert.equal(made.files.length, 3000)
  assert.equal(made.truncated, true)
  await assert.rejects(diff(workspace, { base, tip: '0'.repeat(40) }), GitFailed)
})
