import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type GitFunctions, gitTools } from '../../../src/agent/tools/git.ts'
import { connectTools } from './client.ts'

/** Answers what it was asked. */
const echo: GitFunctions = {
  status: async () => 'status',
  log: async (o) => JSON.stringify(o),
  diff: async (o) => JSON.stringify(o),
  commit: async (o) => JSON.stringify(o),
  push: async () => 'push',
  pull: async (branch) => String(branch),
  clone: async (o) => JSON.stringify(o),
}

type Use = readonly [name: string, input: Record<string, unknown>, answer: string | RegExp]

const uses: readonly Use[] = [
  ['git_status', {}, 'status'],
  ['git_status', { path: 'a' }, /Unrecognized key: "path"/],
  ['git_log', {}, '{"revision":"HEAD","task":false,"limit":20}'],
  ['git_log', { limit: 0 }, /limit: Too small/],
  ['git_log', { limit: 201, revision: '' }, /revision: Too small.*limit: Too big/],
  ['git_log', { revision: 'a\nb' }, /revision: expected a branch, a tag or a commit/],
  ['git_diff', {}, '{"from":"HEAD","summary":false}'],
  ['git_diff', { from: 'x'.repeat(256), summary: 1 }, /from: Too big.*summary: Invalid input/],
  ['git_commit', { message: ' Mend it \n' }, '{"message":"Mend it","paths":[]}'],
  ['git_commit', { message: '  ' }, /message: Too small/],
  ['git_commit', { message: 'a\0b' }, /message: expected text without NUL/],
  ['git_commit', { message: 'a\ud800' }, /message: expected text without NUL and unpaired/],
  ['git_commit', { message: 'x'.repeat(10_001), paths: 'a' }, /message: Too big.*paths: Invalid/],
  ['git_commit', { message: 'x', paths: Array(1001).fill('a') }, /paths: Too big/],
  ['git_push', {}, 'push'],
  ['git_push', { branch: 'main', force: true }, /Unrecognized keys: "branch", "force"/],
  ['git_pull', {}, 'undefined'],
  ['git_pull', { branch: 'release/1.x' }, 'release/1.x'],
  ['git_clone', { url: 'u', directory: 'd' }, '{"url":"u","directory":"d","depth":1}'],
  ['git_clone', { directory: 'd', depth: -1 }, /url: Invalid input.*depth: Too small/],
]

test('each git tool takes what its schema says, and names every fault of what it does not', async () => {
  await using tools = await connectTools(gitTools(echo))
  for (const [name, input, answer] of uses) {
    const said = await tools.call(name, input)
    if (typeof answer === 'string') assert.equal(said, answer, name)
    else assert.match(said, answer, name)
  }
})

test('a branch is a name that git would take, and never an option or a refspec', async () => {
  await using tools = await connectTools(gitTools(echo))
  const bad = ['-x', '--upload-pack=x', 'a:b', 'a b', 'a..b', 'a~1', 'a^', 'a*', 'a//b', '/a']
  const worse = ['a/', '.a', 'a.lock', 'a@{1}', 'a\\b', 'a\0b', 'a[b', 'a?b', '']
  for (const branch of [...bad, ...worse])
    assert.match(await tools.call('git_pull', { branch }), /^error: .*branch: /, branch)
  // Behind `refs/heads/` a plus is only a letter.
  assert.equal(await tools.call('git_pull', { branch: '+a' }), '+a')
})
