import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TaskOrder, TaskResult } from '@longhaul/client/contract'
import fc from 'fast-check'
import { pullRequestBody } from '../../src/tasks/pull-request.ts'

const order: TaskOrder = {
  type: 'refactor',
  repoUrl: 'https://github.com/acme/app',
  instructions: 'Rename foo to bar.',
  priority: 'medium',
  timeLimitMinutes: 60,
}
const passed = { outcome: 'passed', exit_code: 0, duration_ms: 1234, output_tail: '' } as const
const result: TaskResult = {
  summary: 'Renamed.',
  branch: 'agent/refactor-rename',
  commits: [{ sha: 'a'.repeat(40), subject: 'Rename' }],
  pull_request_url: null,
  checks: { outcome: 'passed', rounds: 1, results: [{ ...passed, command: 'npm test' }] },
  usage: {
    input_tokens: 1,
    output_tokens: 1,
    cache_read_input_tokens: 0,
    cache_creation_input_tokens: 0,
  },
  cost_usd: 0.257,
}
const taskId = 'task_01kaw3n6hvf2zt5e8q4w9rxm7c'
const publicUrl = new URL('https://longhaul.example/team/')

const bodyOf = (changedFiles: readonly string[], given: Partial<TaskResult> = {}): string =>
  pullRequestBody({ order, taskId, publicUrl, result: { ...result, ...given }, changedFiles })

/** The rows of the section about changed tests and scripts. */
function listed(body: string): string[] {
  const section = /### Tests and scripts that were changed\n\n([^#]*)/.exec(body)?.[1] ?? ''
  return section.trim().split('\n')
}

test('the body says what the checks said, what was changed in tests, the cost, the link and the summary', () => {
  assert.equal(
    bodyOf(['src/foo.ts', 'test/foo.test.ts']),
    `### Checks

- ✅ \` npm test \`, 1.2 s

Run by the server after the agent finished (round 1).

### Tests and scripts that were changed

- \` test/foo.test.ts \`

### About

Task [${taskId}](https://longhaul.example/team/v1/tasks/${taskId}) (refactor), 1 commit(s), about $0.26.

### Summary

Renamed.`,
  )
})

test('a section without content is left out; skipped checks and a missing summary are said', () => {
  const checks = { outcome: 'skipped', rounds: 0, results: [] } as const
  const body = bodyOf(['src/foo.ts'], { summary: ' ', checks: { ...checks, results: [] } })
  assert.doesNotMatch(body, /Tests and scripts/)
  assert.match(body, /Skipped: the order names no checks/)
  assert.match(body, /The agent left no summary\./)
})

test('tests and scripts are told from other files', () => {
  const watched = [
    ...['test/a.py', 'src/__tests__/b.js', 'c.spec.ts', 'd_test.go', 'src/main/ETest.java'],
    ...['spec/f.rb', 'conftest.py', 'package.json', 'api/Makefile', 'tox.ini', 'vitest.config.ts'],
    ...['deploy.sh', 'scripts/release', 'bin/run', '.github/CODEOWNERS', 'ci/build.yaml'],
  ]
  const others = ['src/contest.ts', 'latest/a.ts', 'README.md', 'src/robin/a.ts', 'package.json.md']
  assert.deepEqual(
    listed(bodyOf([...others, ...watched])),
    watched.map((name) => `- \` ${name} \``),
  )
})

test('a test beyond a hundred other files is seen, and a hundred and first test is counted', () => {
  const sources = Array.from({ length: 500 }, (_, n) => `src/${n}.ts`)
  const tests = Array.from({ length: 103 }, (_, n) => `test/${n}.ts`)
  assert.deepEqual(listed(bodyOf([...sources, 'test/last.ts'])), ['- ` test/last.ts `'])
  const rows = listed(bodyOf([...sources, ...tests]))
  assert.equal(rows.length, 101)
  assert.equal(rows.at(-1), '- and 3 more')
  assert.ok(!bodyOf(tests.slice(0, 100)).includes(' more'))
})

test('a name can neither close its code span, start a line, nor turn the text around it', () => {
  const [row] = listed(bodyOf(['test/a`b\n- [x] done\r\u202e.sh']))
  assert.equal(row, '- ` test/a\\u{60}b\\u{a}- [x] done\\u{d}\\u{202e}.sh `')
})

test('what the agent says comes after everything that the server says', () => {
  const summary = '```\n<!-- <details>\n### Checks\n\n✅ all of them'
  const body = bodyOf(['test/a.ts'], { summary })
  assert.ok(body.endsWith(`### Summary\n\n${summary}`))
  assert.ok(body.indexOf(taskId) < body.indexOf(summary))
})

test('whatever names and words come, GitHub takes the body', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 5000 }),
    fc.constantFrom('`'.repeat(5000), '\u202e'.repeat(5000), '🙂'.repeat(5000), '\ud800'),
  )
  fc.assert(
    fc.property(hostile, hostile, (name, summary) => {
      const command = name.slice(0, 4000)
      const results = Array.from({ length: 20 }, () => ({ ...passed, command }))
      const body = bodyOf(Array(150).fill(`test/${name}`), {
        summary: summary.repeat(10),
        checks: { outcome: 'passed', rounds: 3, results },
      })
      assert.ok(body.length <= 65_536, `${body.length}`)
      assert.equal(listed(body).length, 101)
    }),
    { numRuns: 50 },
  )
})
