/** The typed tools, called by a scripted model through the real CLI, sandbox and server. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { type Step, say, script, together, use, when } from '@longhaul/testing'
import { advance } from '../support/advance.ts'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, makeWorld, type World } from '../support/world.ts'

const tool = (name: string, input: Readonly<Record<string, unknown>> = {}): Step =>
  use(`mcp__longhaul__${name}`, input)

const sum = 'export function sum(a: number): number {\n  return a && sum(a - 1)\n}\n'
const total = sum.replaceAll('sum', 'total')
const revisionOf = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 16)

/** Calls that attach one file under the names from `from` up to `to`. */
const attachments = (path: string, from: number, to: number): Step[] =>
  Array.from({ length: to - from }, (_, n) =>
    tool('attach_artifact', { path, name: `${from + n}` }),
  )

const scenario = script(
  when(
    'Study',
    tool('report_progress', { message: 'Reading the code.', percent: 50 }),
    tool('report_progress', { message: '', more: true }),
    tool('fs_write', { path: 'b.txt', content: 'no' }),
    tool('gh_issue_view', { number: 1 }),
    tool('gh_pr_view'),
    tool('gh_issue_comment', { number: 1, body: 'no' }),
    say('# Report'),
  ),
  when(
    'Rename',
    tool('code_search', { pattern: 'sum', globs: ['src/**'] }),
    tool('code_outline', { path: 'src/sum.ts' }),
    tool('code_edit', {
      ...{ path: 'src/sum.ts', revision: revisionOf(sum), symbol: 'sum' },
      ...{ operation: 'rename', new_name: 'total' },
    }),
    tool('code_edit', {
      ...{ path: 'src/sum.ts', revision: revisionOf(sum), symbol: 'total' },
      ...{ operation: 'replace', text: '' },
    }),
    tool('code_edit', {
      ...{ path: 'src/sum.ts', revision: revisionOf(total), symbol: 'total' },
      ...{ operation: 'replace', text: 'export function total(' },
    }),
    say('Renamed.'),
  ),
  when(
    'Tidy',
    tool('fs_list', { depth: 2 }),
    tool('fs_read', { path: 'src/a.txt' }),
    tool('fs_write', { path: 'new/b.txt', content: 'b\n' }),
    tool('fs_copy', { from: 'src/a.txt', to: 'new/a.txt' }),
    tool('fs_move', { from: 'src/old.txt', to: 'new/old.txt' }),
    tool('fs_delete', { path: 'src/a.txt' }),
    tool('fs_read', { path: '../../../etc/passwd' }),
    tool('attach_artifact', { path: 'new/b.txt', name: 'report.txt' }),
    tool('attach_artifact', { path: '.git/config' }),
    say('Tidied.'),
  ),
  when(
    'Attach too many',
    together(...attachments('a.txt', 0, 30)),
    together(...attachments('a.txt', 30, 45)),
    // As many as the CLI has on the way at once, and slow to keep.
    together(...attachments('large.txt', 45, 55)),
    say('# Attached'),
  ),
  when(
    'Wait for GitHub',
    // The second request to the model waits for the transcript, so there is one to go on with.
    tool('git_status'),
    tool('gh_pr_list', { limit: 7 }),
    say('Nothing changed.'),
  ),
  when(
    'Use git',
    tool('git_status'),
    tool('fs_write', { path: 'a.txt', content: 'mine\n' }),
    tool('fs_write', { path: 'b.txt', content: 'b\n' }),
    tool('git_status'),
    tool('git_diff'),
    tool('git_push'),
    tool('git_commit', { message: 'Only b', paths: ['b.txt'] }),
    use('Bash', { command: "mkdir 'git~1' && echo x >'git~1/x'" }),
    tool('git_commit', { message: 'The rest' }),
    tool('git_commit', { message: 'Nothing' }),
    tool('git_log', { task: true }),
    tool('git_log', { path: 'b.txt', limit: 5 }),
    tool('git_diff', { from: 'base', to: 'HEAD', summary: true }),
    tool('git_push'),
    say('Half of it.'),
  ),
)

let moveMain: () => Promise<unknown> = async () => undefined
const at = (path: string): string => `${world.github.url}/${path}`
const clone = (path: string, directory: string) => () =>
  tool('git_clone', { url: at(path), directory })

const others = script(
  when(
    'Use others',
    tool('fs_write', { path: 'a.txt', content: 'mine\n' }),
    tool('git_commit', { message: 'Mine' }),
    use('mcp__longhaul__git_pull', {}, { until: () => moveMain() }),
    tool('git_pull', { branch: 'next' }),
    tool('git_status'),
    tool('fs_write', { path: 'a.txt', content: 'both\n' }),
    tool('git_commit', { message: 'Merge next' }),
    tool('git_pull', { branch: 'none' }),
    clone('acme/library', 'deps/library'),
    clone('acme/library.git', 'deps/library'),
    clone('acme/secret', 'deps/secret'),
    clone('acme/library', '../x'),
    tool('git_clone', { url: 'https://elsewhere.example/acme/library', directory: 'x' }),
    tool('git_clone', { url: 'file:///etc', directory: 'x' }),
    use('Bash', {
      command: `ln -s "$HOME" out; ls -A deps; git -C deps/library log --format=%s
        git -C deps/library push origin HEAD:refs/heads/x 2>&1 | grep -o 'not push to it'; true`,
    }),
    clone('acme/library', 'out/x'),
    use('Bash', { command: 'ls -A "$HOME" | grep -cx x; rm out' }),
    tool('git_log', { revision: '--output=/tmp/x' }),
    tool('git_diff', { path: '../x' }),
    tool('git_pull', { branch: '--upload-pack=x' }),
    say('Used.'),
  ),
)

/** The answers of the typed tools, an error with that word before it. */
async function answers(id: string): Promise<string[]> {
  const results = (await server.events(id)).filter(({ type }) => type === 'agent.mcp_tool_result')
  return results.map(({ content, is_error: isError }) => {
    const [{ text = '' } = {}] = Array.isArray(content) ? content : []
    return `${isError === true ? 'error: ' : ''}${text}`
  })
}

const settings = { GIT_READ_ALLOW: 'acme/library, docs/*' }

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([scenario, others])
  server = await world.start(settings)
})
after(() => world[Symbol.asyncDispose]())

test('an agent that only reads reports progress, reads GitHub, and has no tool that changes anything', async () => {
  const repository = await world.repository('look', { 'a.txt': 'a\n' })
  repository.talk.open({ title: 'Why?', body: 'Nobody knows.', author: 'ada' })
  const order = { type: 'analysis', repoUrl: repository.url, instructions: 'Study #1.' }
  const { id } = await server.order(order)
  assert.equal((await server.ended(id)).reason, 'report')
  const events = await server.events(id)
  assertWholeLog(events)
  const progress = events.filter(({ type }) => type === 'task.progress')
  assert.deepEqual(
    progress.map(({ message, percent }) => ({ message, percent })),
    [{ message: 'Reading the code.', percent: 50 }],
  )
  const calls = events.filter(({ type }) => type === 'agent.mcp_tool_use')
  assert.deepEqual(
    new Set(calls.map(({ mcp_server_name: server }) => server)),
    new Set(['longhaul']),
  )
  assertAnswers(await answers(id), [
    'Reported.',
    /^error: .*message: Too small.*Unrecognized key/,
    /^error: .*(There is no tool fs_write|No such tool)/,
    /^#1 Why\? \(open, by ada\)\n.*\n\nNobody knows\.$/,
    'error: This task has no pull request yet.',
    /^error: .*(There is no tool gh_issue_comment|No such tool)/,
  ])
  assert.equal(repository.talk.comments.length, 0)
})

test('an agent changes files by typed tools and attaches one, and is told what it may not', async () => {
  const files = { 'src/a.txt': 'a\n', 'src/old.txt': 'old\n' }
  const repository = await world.repository('tidy', files)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Tidy.' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.deepEqual(await answers(id), [
    'src/\nsrc/a.txt  2\nsrc/old.txt  4',
    'a\n',
    'Made new/b.txt (2 bytes).',
    'Copied src/a.txt (a file) to new/a.txt.',
    'Moved src/old.txt (a file) to new/old.txt.',
    'Deleted src/a.txt (a file).',
    'error: "../../../etc/passwd" has a `..`, which may lead out of the workspace.',
    'Attached new/b.txt as attached-report.txt (text/plain, 2 bytes).',
    `error: ".git/config" is in git's own directory; use the git tools.`,
  ])
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, 'new/b.txt'), 'b\n')
  assert.equal(await repository.fileAt(branch, 'new/old.txt'), 'old\n')
  assert.equal(await repository.fileAt(branch, 'src/a.txt'), null)
  assert.equal(await server.artifact(id, 'attached-report.txt'), 'b\n')
})

test('of more files than a task may have, attached in one answer, the first are kept', async () => {
  const repository = await world.repository('attach', {
    'a.txt': 'a\n',
    'large.txt': 'large\n'.repeat(1_000_000),
  })
  const order = { type: 'analysis', repoUrl: repository.url, instructions: 'Attach too many.' }
  const { id } = await server.order(order)
  assert.equal((await server.ended(id)).reason, 'report')
  const said = await answers(id)
  const refused = said.filter((answer) => /^error: A task has at most 50 attached/.test(answer))
  assert.equal(refused.length, 5, said.join('\n'))
  assert.equal(said.filter((answer) => answer.startsWith('Attached ')).length, 50)
})

test('an agent uses git by typed tools, and pushes to the branch of its task', async () => {
  const repository = await world.repository('git', { 'a.txt': 'theirs\n' })
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Use git.' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  const said = await answers(id)
  const expected: readonly (string | RegExp)[] = [
    `## ${branch}\n`,
    /^Replaced a\.txt/,
    /^Made b\.txt/,
    `## ${branch}\n M a.txt\n?? b.txt\n`,
    /^diff --git a\/a\.txt b\/a\.txt[\s\S]*-theirs\n\+mine\n$/,
    'error: There is no commit of this task to push yet.',
    /^[0-9a-f]{7} Only b\n\n b\.txt \| 1 \+\n 1 file changed/,
    /^[0-9a-f]{7} The rest\n\n a\.txt \| 2 \+-\n[\s\S]*Left out, since git takes no such paths: \["git~1"\]$/,
    'error: There is nothing to commit.',
    /^[0-9a-f]{7} [\d-]{10} Longhaul: The rest\n[0-9a-f]{7} [\d-]{10} Longhaul: Only b\n$/,
    /^[0-9a-f]{7} [\d-]{10} Longhaul: Only b\n$/,
    / a\.txt \| 2 \+-\n b\.txt \| 1 \+\n 2 files changed/,
    new RegExp(`^The branch ${branch} is [0-9a-f]{40} on the git host now\\.$`),
  ]
  assertAnswers(said, expected)
  const subjects = (await repository.commits(branch)).map(({ subject }) => subject)
  assert.deepEqual(subjects, ['The rest', 'Only b', 'First commit'])
  const events = await server.events(id)
  assert.equal(events.filter(({ type }) => type === 'workspace.pushed').length, 2)
  const left = events.find(({ type }) => type === 'workspace.left_out')
  assert.deepEqual(left?.['paths'], ['git~1'])
})

test('an agent pulls, resolves conflicts, and reads other repositories that the operator allows', async () => {
  const repository = await world.repository('others', { 'a.txt': 'theirs\n' })
  await world.repository('library', { 'lib.txt': 'lib\n' })
  await world.repository('secret', { 'secret.txt': 'secret\n' })
  moveMain = async () => {
    await advance(repository, { branch: 'main', path: 'c.txt', text: 'c\n' })
    await advance(repository, { branch: 'main', path: 'a.txt', text: 'next\n', to: 'next' })
  }
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Use others.' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  assertAnswers(await answers(id), [
    /^Replaced/,
    / Mine\n/,
    /^Merged main\.\nMerge made by/,
    'Merging next has conflicts in these files; resolve them, then commit:\na.txt',
    /^## .*\nUU a\.txt\n$/,
    /^Replaced/,
    / Merge next\n/,
    /^error: git fetch failed: .*couldn't find remote ref refs\/heads\/none/,
    /^Cloned http.*\/acme\/library into deps\/library, at [0-9a-f]{40}\./,
    'error: "deps/library" exists already.',
    /^error: git clone failed: .*may be reached from this session/,
    /^error: "\.\.\/x" has a `\.\.`/,
    new RegExp(`^error: Only repositories of ${world.github.url} can be cloned\\.$`),
    /^error: .*expected a repository URL/,
    /^error: "out\/x" leads over something that is not a directory/,
    'error: There is no commit "--output=/tmp/x" here.',
    /^error: "\.\.\/x" has a `\.\.`/,
    /^error: The input of git_pull is not valid\. branch: expected a branch name\.$/,
  ])
  assert.deepEqual(await server.toolResults(id), ['library\nFirst commit\nnot push to it', '0'])
  assert.equal(await repository.fileAt(branch, 'a.txt'), 'both\n')
  assert.equal(await repository.fileAt(branch, 'c.txt'), 'c\n')
  assert.equal(await repository.fileAt(branch, 'deps/library/lib.txt'), null)
})

test('an agent finds, outlines and renames a symbol, and is told what it may not edit', async () => {
  const repository = await world.repository('rename', { 'src/sum.ts': sum, 'b.txt': 'sum\n' })
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Rename.' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.deepEqual(await answers(id), [
    'src/sum.ts\n1: export function sum(a: number): number {\n2:   return a && sum(a - 1)',
    `src/sum.ts (TypeScript), revision ${revisionOf(sum)}\n1-3 function sum: function sum(a: number): number`,
    `Renamed sum: changed lines 1, 2. src/sum.ts has revision ${revisionOf(total)} now.`,
    `error: src/sum.ts is no longer as it was outlined: it is ${revisionOf(total)} now.`,
    'error: With this edit the file no longer parses: line 1 has "export function total(".',
  ])
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'src/sum.ts'), total)
})

test('an agent whose tool call a crash cut off is told which, and goes on', async () => {
  const repository = await world.repository('wait', { 'a.txt': 'a\n' })
  const asked = Promise.withResolvers<void>()
  world.github.beforeRequest(({ path }) => {
    if (!path.includes('per_page=7')) return undefined
    asked.resolve()
    return Promise.withResolvers<never>().promise
  })
  const order = { repoUrl: repository.url, instructions: 'Wait for GitHub.' }
  const { id } = await server.order(order)
  await asked.promise
  await server.event(id, (e) => e.type === 'agent.mcp_tool_use' && e['name'] === 'gh_pr_list')
  await server.kill()
  world.github.beforeRequest(null)
  server = await world.start(settings)
  assert.equal((await server.ended(id)).reason, 'no_changes')
  const said = (await server.events(id)).filter(({ type }) => type === 'system.message')
  assert.match(JSON.stringify(said), /Cut off was:.*gh_pr_list \{.*limit.*7/)
})

function assertAnswers(said: readonly string[], expected: readonly (string | RegExp)[]): void {
  for (const [n, answer] of expected.entries()) {
    if (typeof answer === 'string') assert.equal(said[n], answer)
    else assert.match(said[n] ?? '', answer)
  }
  assert.equal(said.length, expected.length)
}
