import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  editedOrder,
  type GivenOrder,
  parseRepoUrl,
  reason,
  reasons,
  type TaskOrder,
  taskCreateOrder,
  workflowCreateOrder,
} from '@longhaul/client/contract'

/** Of a server that takes every address. */
const anywhere = { repoUrl: () => null, callbackUrl: () => null, startAt: () => null }

test('a repository is known by one form, whichever way it was written', () => {
  const forms = [
    'https://github.com/acme/app',
    'https://github.com/acme/app.git',
    'https://github.com/acme/app/',
    'https://github.com/acme/app.git/',
    'HTTPS://GitHub.com:443/acme/app',
    'git@github.com:acme/app.git',
    'git@github.com:acme/app',
    'ssh://git@github.com/acme/app.git',
    'ssh://git@github.com:22/acme/app',
  ]
  for (const form of forms) {
    const expected = { origin: 'https://github.com', path: '/acme/app' }
    assert.deepEqual(parseRepoUrl(form), { ...expected, url: 'https://github.com/acme/app' }, form)
  }
})

test('a host of its own keeps its scheme, port and depth', () => {
  assert.equal(parseRepoUrl('http://127.0.0.1:3000/a/b/c.git').url, 'http://127.0.0.1:3000/a/b/c')
  assert.equal(parseRepoUrl('https://dev.example/_git/My%20App').path, '/_git/My%20App')
  assert.equal(parseRepoUrl('https://dev.example/b%C3%BCcher%28a%29').path, '/b%C3%BCcher%28a%29')
  assert.equal(parseRepoUrl('http://[::1]:8080/app').origin, 'http://[::1]:8080')
})

test('an order means the same in both forms', () => {
  const order: GivenOrder = {
    type: 'test',
    repoUrl: 'https://github.com/acme/app',
    instructions: 'Run the suite.',
    priority: 'low',
    baseBranch: 'feature/a',
    setup: ['npm ci'],
    checks: ['npm test'],
    commands: [],
    workdir: 'packages/api',
    timeLimitMinutes: 90,
    maxBudgetUsd: 2.5,
    budgetDeadlineMinutes: 30,
    budgetRaiseToUsd: 5,
    callbackUrl: 'https://example.com/hook',
    context: { chat: 1 },
    payload: { a: null },
    labels: ['team:payments', 'nightly'],
    startAt: Date.parse('2026-12-01T08:00:00.500Z'),
  }
  assert.deepEqual(workflowCreateOrder(anywhere).parse(order), order)
  const {
    repoUrl: repo_url,
    baseBranch: base_branch,
    timeLimitMinutes: time_limit_minutes,
    maxBudgetUsd: max_budget_usd,
    budgetDeadlineMinutes: budget_deadline_minutes,
    budgetRaiseToUsd: budget_raise_to_usd,
    callbackUrl: callback_url,
    startAt: _,
    ...rest
  } = order
  const start_at = '2026-12-01T09:00:00.5+01:00'
  const wire = {
    ...{ repo_url, base_branch, time_limit_minutes, max_budget_usd, callback_url, start_at },
    ...{ budget_deadline_minutes, budget_raise_to_usd },
  }
  assert.deepEqual(taskCreateOrder(anywhere).parse({ ...rest, ...wire }), order)
})

test('an order that says little gets the defaults and no field that it did not give', () => {
  const least = { type: 'custom', repoUrl: 'git@github.com:acme/app.git', instructions: 'Hi.' }
  assert.deepEqual(workflowCreateOrder(anywhere).parse(least), {
    type: 'custom',
    repoUrl: 'https://github.com/acme/app',
    instructions: 'Hi.',
    priority: 'medium',
  })
})

test('every field of an order comes through a retry', () => {
  const pin = { id: 'agent_01kaw3n6hvf2zt5e8q4w9rxm7c', version: 2 }
  const environment = { id: 'env_01kaw3n6hzt6k9w3c7v2x5m8qd', version: 3 }
  const given: Required<GivenOrder> = {
    ...{ type: 'deploy', repoUrl: 'https://github.com/acme/app', instructions: 'Deploy.' },
    ...{ priority: 'low', baseBranch: 'feature/a', workdir: 'packages/api' },
    agent: pin,
    environment,
    sandbox: { networking: { type: 'none' }, limits: { memory_mib: 512 } },
    ...{ setup: ['npm ci'], checks: [], commands: ['make'] },
    ...{ timeLimitMinutes: 90, maxBudgetUsd: 2.5, labels: ['nightly'] },
    ...{ budgetDeadlineMinutes: 30, budgetRaiseToUsd: 5 },
    pullRequest: { draft: false, reviewers: ['a'], teamReviewers: ['b'], labels: ['c'] },
    ...{ callbackUrl: 'https://example.com/hook', context: [null], payload: { someKey: null } },
    startAt: Date.UTC(2026, 11, 1),
  }
  const { startAt: _, ...expected } = given
  const stored: TaskOrder = {
    ...given,
    agent: pin,
    environment,
    environmentGiven: true,
    commit: { name: 'a', email: 'a@example.com' },
  }
  assert.deepEqual(taskCreateOrder(anywhere).parse(editedOrder(stored, {})), expected)
})

test('every reason has a sentence and a next action', () => {
  assert.deepEqual(Object.keys(reasons).sort(), [...reason.options].sort())
  for (const { sentence, next } of Object.values(reasons)) {
    assert.match(sentence, /^[A-Z].+\.$/)
    assert.match(next, /^[A-Z].+\.$/)
  }
})
