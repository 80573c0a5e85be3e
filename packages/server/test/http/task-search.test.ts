/** Lists of tasks: what is found, how much of it there is, and pages that stay what they are. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TaskResult } from '@longhaul/client/contract'
import { updateTask } from '../../src/store/tasks.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openTestApp, type TestApp } from './fixture.ts'
import { short } from './refusal.ts'

const start = Date.UTC(2026, 10, 24, 10)
const minuteMs = 60_000

let server: TestApp
let clock: ManualClock
/** Ids by the names that the table below gives its tasks. */
const ids = new Map<string, string>()

/** Tasks one minute apart, the first at 10:00; `is` is what became of them. */
const tasks: readonly {
  readonly name: string
  readonly given?: object
  readonly is?: Parameters<typeof updateTask>[2]
  readonly costUsd?: number
}[] = [
  { name: 'plain' },
  {
    name: 'slow',
    given: { type: 'analysis', priority: 'low', labels: ['nightly', 'team:web'] },
    is: { status: 'running', reason: 'agent', startedAt: at(30) },
    costUsd: 0.4,
  },
  {
    name: 'done',
    given: {
      repo_url: 'git@github.com:acme/other.git',
      instructions:
        'Retry the payment gateway’s time-outs in src/payments/retry_policy.ts (ÄRGER!)',
      labels: ['nightly'],
    },
    is: {
      ...{ status: 'completed', reason: 'done', startedAt: at(31), completedAt: at(40) },
      result: resultOf('Back-off is exponential now. 再試行を直した。', 'agent/refactor-retry-q7z'),
    },
    costUsd: 2.5,
  },
  {
    name: 'broken',
    given: { type: 'test', priority: 'high', instructions: 'Make the payments suite pass.' },
    is: {
      ...{ status: 'failed', reason: 'checks_failed', startedAt: at(32), completedAt: at(50) },
      result: resultOf('It still fails.', null),
    },
    costUsd: 10,
  },
  { name: 'later', given: { start_at: new Date(start + 86_400_000).toISOString() } },
]

function at(minutes: number): Date {
  return new Date(start + minutes * minuteMs)
}

function resultOf(summary: string, branch: string | null): TaskResult {
  const usage = {
    ...{ input_tokens: 0, output_tokens: 0 },
    ...{ cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
  }
  const checks = { outcome: 'skipped' as const, rounds: 0, results: [] }
  return { summary, branch, commits: [], pull_request_url: null, checks, usage, cost_usd: 0 }
}

before(async () => {
  clock = new ManualClock(start)
  server = await openTestApp({ clock })
  const { db } = server.store
  for (const { name, given, is = {}, costUsd = 0 } of tasks) {
    const { id, session_id } = await server.order(given)
    ids.set(name, id)
    await updateTask(db, id, is)
    const of = db.updateTable('sessions').where('id', '=', session_id)
    await of.set({ cost_usd: costUsd }).execute()
    clock.advance(minuteMs)
  }
})
after(() => server[Symbol.asyncDispose]())

interface Page {
  readonly ids: string[]
  readonly next: string | null
  readonly total: number
}

async function list(query: string, path = '/v1/tasks'): Promise<Page> {
  const answer = await server.send('GET', `${path}?${query}`)
  const text = await answer.text()
  assert.equal(answer.status, 200, text)
  const { data, next_page, nextPage, total } = JSON.parse(text)
  return {
    ids: data.map(({ id }: { id: string }) => id),
    next: path === '/v1/tasks' ? next_page : nextPage,
    total,
  }
}

function q(words: string): string {
  return `q=${encodeURIComponent(words)}`
}

/** What is asked for, in both forms where they differ, and the names of what is found. */
const found: readonly (readonly [query: string | readonly [string, string], ...names: string[]])[] =
  [
    ['', 'later', 'broken', 'done', 'slow', 'plain'],
    ['status=pending', 'later', 'plain'],
    ['status=completed&status=failed', 'broken', 'done'],
    ['type=analysis&type=test', 'broken', 'slow'],
    ['priority=high', 'broken'],
    ['reason=delayed&reason=agent', 'later', 'slow'],
    ['status=completed&reason=agent'],
    ['label=nightly', 'done', 'slow'],
    ['label=nightly&label=team:web', 'slow'],
    ['label=night'],
    [['repo_url=https://github.com/acme/other', 'repoUrl=git@github.com:acme/other'], 'done'],
    [['repo_url=https://github.com/ACME/Other', 'repoUrl=git@GitHub.com:Acme/other'], 'done'],
    [
      [
        'repo_url=https://github.com/acme/other.git/&repo_url=https://github.com/acme/app&priority=high',
        'repoUrl=https://github.com/acme/app&priority=high',
      ],
      'broken',
    ],
    [['created_at[gte]=2026-11-24T10:03:00Z', `createdAt[gte]=${+at(3)}`], 'later', 'broken'],
    [['created_at[gt]=2026-11-24T11:03:00%2B01:00', `createdAt[gt]=${+at(3)}`], 'later'],
    [['created_at[lte]=2026-11-24T10:00:00.000Z', `createdAt[lte]=${+at(0)}`], 'plain'],
    [['created_at[lt]=2026-11-24T10:00:00Z', `createdAt[lt]=${+at(0)}`]],
    [
      [
        'started_at[gte]=2026-11-24T10:30:00Z&started_at[lt]=2026-11-24T10:32:00Z',
        `startedAt[gte]=${+at(30)}&startedAt[lt]=${+at(32)}`,
      ],
      'done',
      'slow',
    ],
    [['completed_at[gt]=2026-11-24T10:40:00Z', `completedAt[gt]=${+at(40)}`], 'broken'],
    [['cost_usd[gte]=2.5', 'costUsd[gte]=2.5'], 'broken', 'done'],
    [['cost_usd[gt]=2.5', 'costUsd[gt]=2.5'], 'broken'],
    [['cost_usd[gt]=0&cost_usd[lte]=2.50', 'costUsd[gt]=0&costUsd[lte]=2.50'], 'done', 'slow'],
    [q('payment'), 'broken', 'done'],
    [q('PAYMENTS gateway'), 'done'],
    [q('policy.ts'), 'done'],
    [q('retry_pol'), 'done'],
    [q('q7z'), 'done'],
    [q('exponential ärger'), 'done'],
    [q('“ärg”'), 'done'],
    [q('再試行'), 'done'],
    [q('ayment')],
    [q('payment nothing')],
    [`${q('payments')}&status=failed`, 'broken'],
  ]

for (const [query, ...names] of found) {
  const [task, workflow] = typeof query === 'string' ? [query, query] : query
  test(`${short(task)} finds ${names.join(', ') || 'nothing'}, and counts it`, async () => {
    const expected = names.map((name) => ids.get(name) ?? '')
    const asked = [await list(task), await list(workflow, '/api/workflows')]
    for (const page of asked)
      assert.deepEqual(page, { ids: expected, next: null, total: names.length })
  })
}

for (const [words, total] of [
  ["a' | 'b", 1],
  ["');drop table tasks;--", 0],
  ['!payment', 2],
  ['payment & (suite', 1],
  ['payment:*A <-> suite', 0],
  ['pay\\', 2],
  ['%pay%', 2],
  ['p_y', 0],
  ['(((((((suite)))))))', 1],
  [`${'nothing|'.repeat(24)}suite`, 0],
  ['a'.repeat(200), 0],
  ['İıſK', 0],
  ['👩‍👩‍👧 suite', 1],
] as const) {
  test(`nothing in ${short(words)} is more than a word, and it finds ${total}`, async () => {
    assert.equal((await list(q(words))).total, total)
    assert.equal((await list('')).total, 5)
  })
}

test('instructions of any words are taken, and found by the first 64 letters of a long one', async () => {
  await using other = await openTestApp()
  const many = Array.from({ length: 16_000 }, (_, n) => `w${n.toString(36)}`).join('/')
  await other.order({ instructions: many.slice(0, 100_000) })
  await other.order({ instructions: 'é'.repeat(100_000) })
  await other.order({ instructions: '-- ¡! --' })
  const asked = async (words: string) =>
    JSON.parse(await (await other.send('GET', `/v1/tasks?${q(words)}`)).text()).total
  assert.equal(await asked('wcc0'), 1)
  assert.equal(await asked('É'.repeat(80)), 1)
  assert.equal(await asked('x'), 0)
})

test('pages stay what they are while tasks are added, and while the one they begin after goes', async () => {
  const before = await list('')
  const seen: string[] = []
  let page: Page = await list('limit=2')
  for (;;) {
    seen.push(...page.ids)
    if (page.next === null) break
    clock.advance(minuteMs)
    await server.order()
    const last = seen.at(-1) ?? ''
    const { db } = server.store
    await db.updateTable('tasks').where('id', '=', last).set({ status: 'failed' }).execute()
    page = await list(`limit=2&page=${page.next}`)
    assert.equal(page.total, before.total + Math.ceil(seen.length / 2))
  }
  assert.deepEqual(seen, before.ids)
  const missing = before.ids[0]?.replace(/.{4}$/, 'zzzz')
  assert.deepEqual((await list(`page=${+at(4)}-${missing}`)).ids.slice(-5), before.ids)
})

test('tasks of one moment are paged, too', async () => {
  await using other = await openTestApp({ clock: new ManualClock(start) })
  const made = new Set<string>()
  for (let n = 0; n < 7; n += 1) made.add((await other.order()).id)
  const seen: string[] = []
  for (let next: string | null = ''; next !== null; ) {
    const query: string = next === '' ? '' : `&page=${next}`
    const answer = await other.send('GET', `/v1/tasks?limit=3${query}`)
    const { data, next_page } = JSON.parse(await answer.text())
    seen.push(...data.map(({ id }: { id: string }) => id))
    next = next_page
  }
  assert.equal(seen.length, 7)
  assert.deepEqual(new Set(seen), made)
})

test('a page and its total are of one moment, whatever is ordered meanwhile', async () => {
  const label = 'label=moment'
  let writing = true
  const write = async () => {
    for (let n = 0; n < 60; n += 1) await server.order({ labels: ['moment'] })
    writing = false
  }
  const read = async () => {
    while (writing) {
      const { ids: found, total } = await list(`limit=100&${label}`)
      assert.equal(total, found.length)
    }
  }
  await Promise.all([write(), read(), read(), read()])
  assert.equal((await list(label)).total, 60)
})
