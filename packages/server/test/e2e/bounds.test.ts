/** What ends a task that does not end by itself: time, silence, money, the model, the checks. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Approval } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import type { Ordered } from '../support/ordered.ts'
import { connectTo } from '../support/postgres.ts'
import type { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, mend, type World } from '../support/world.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** As far away as a monthly limit may be: at the beginning of a day of UTC. */
const backAt = new Date(Math.floor(Date.now() / dayMs + 31) * dayMs)
const block = 'touch .git/blocked; sleep 300'
const dear = { input_tokens: 1_000_000, output_tokens: 10 }
/** Requests of the task that waits twice. */
let quotaAsked = 0
const scenario = script(
  when('Sleep', use('Bash', { command: mend }), use('Bash', { command: block }), say('Slept.')),
  when(
    'Fall silent',
    use('Bash', { command: mend }),
    say('Never said.', { fault: { kind: 'hang', where: 'headers', times: Infinity } }),
  ),
  when(
    'Spend',
    use('Bash', { command: mend }, { usage: dear }),
    use('Bash', { command: 'true' }, { usage: dear }),
    say('Spent.'),
  ),
  when('Mend wrongly', use('Bash', { command: "sed -i 's/-/*/' sum.sh" }), say('Mended, I think.')),
  when('The checks did not pass', use('Bash', { command: 'npm test' }), say('I cannot see why.')),
  when('Be turned away', say('No.', { fault: { kind: 'status', status: 403, times: Infinity } })),
  when(
    'Wait for the quota',
    use('Bash', { command: mend }),
    say('Mended.', { fault: { kind: 'status', status: 429, retryAfterS: 3600 } }),
  ),
  // Whether its first message was saved before the wait or not: it goes on, or it begins anew.
  when(
    (_, { userTexts }) => /Wait twice/.test(userTexts[0] ?? ''),
    () => {
      quotaAsked += 1
      const fault = { kind: 'status', status: 429, retryAfterS: 3600, times: Infinity } as const
      return say('Mended.', quotaAsked > 2 ? {} : { fault })
    },
  ),
  when('You were stopped', say('Mended.')),
  when(
    'Wait too long',
    say('Never.', {
      fault: { kind: 'status', status: 429, retryAfterS: (36 * dayMs) / 1000, times: Infinity },
    }),
  ),
  when(
    'Wait for the month to end',
    use('Bash', { command: mend }),
    say('Mended.', { fault: { kind: 'status', status: 400, message: usageLimitUntil(backAt) } }),
  ),
  when(
    'Wait for the model',
    say('Overloaded.', { fault: { kind: 'status', status: 529, times: 2, retryAfterS: 0 } }),
  ),
)

let world: World
let server: ServerApi
let clock: JumpClock
before(async () => {
  world = await makeWorld([scenario])
  clock = new JumpClock()
  server = await world.startInProcess(clock)
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

function order(instructions: string, more: object = {}): Promise<Ordered> {
  return world.order(server, { instructions, ...more })
}

async function keptOf({ id, repository }: Ordered) {
  const task = await server.ended(id)
  assertWholeLog(await server.events(id))
  assert.equal(task.status, 'failed')
  const kept = task.result?.branch ?? ''
  assert.match(kept, /-wip$/)
  assert.deepEqual((await repository.branches()).sort(), [kept, 'main'].sort())
  assert.equal(repository.pullRequests.length, 0)
  return task
}

test('a task that is out of time ends as timed out, with its work kept', async () => {
  const ordered = await order('Sleep.', { timeLimitMinutes: 90 })
  await ordered.marked('blocked')
  clock.jump(91 * minuteMs)
  assert.equal((await keptOf(ordered)).reason, 'timed_out')
})

test('an agent that is silent for seven minutes ends as stalled, with its work kept', async () => {
  const ordered = await order('Fall silent.')
  await world.model.waitFor(
    ({ turn, lastUserText }) => turn === 1 && lastUserText.includes('Fall silent'),
    4 * minuteMs,
  )
  clock.jump(8 * minuteMs)
  assert.equal((await keptOf(ordered)).reason, 'stalled')
  const alerts = (await server.events(ordered.id)).filter(({ type }) => type === 'task.alert')
  assert.ok(alerts.some(({ name }) => name === 'agent_silent'))
})

/** The question of a task that has spent its budget. */
async function budgetAsked(id: string): Promise<string> {
  await server.event(id, ({ type }) => type === 'task.approval_requested')
  assert.equal((await server.task(id)).reason, 'waiting_budget')
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  const [approval] = data
  assert.equal(approval?.kind, 'budget')
  return `/v1/tasks/${id}/approvals/${approval.id}`
}

test('a task that has spent its budget waits, and goes on when the budget is raised', async () => {
  const { id, repository } = await order('Spend.', { maxBudgetUsd: 0.5 })
  const path = await budgetAsked(id)
  const tooLittle = await server.send(path, { decision: 'raise', limit_usd: 0.5 })
  assert.equal(tooLittle.status, 400)
  await server.post(path, { decision: 'raise', limit_usd: 100 })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assertWholeLog(await server.events(id))
  assert.equal(repository.pullRequests.length, 1)
})

test('a budget that nobody raises before the deadline is declined', async () => {
  const ordered = await order('Spend.', { maxBudgetUsd: 0.5 })
  await budgetAsked(ordered.id)
  clock.jump(25 * 60 * minuteMs)
  assert.equal((await keptOf(ordered)).reason, 'budget_declined')
})

test('a budget that nobody raises before the deadline of its order becomes what that says', async () => {
  const policy = { budgetDeadlineMinutes: 30, budgetRaiseToUsd: 100 }
  const { id, repository } = await order('Spend.', { maxBudgetUsd: 0.5, ...policy })
  const path = await budgetAsked(id)
  const asked = await server.get<Approval>(path)
  assert.equal(asked.on_deadline, 'allow')
  assert.equal(Date.parse(asked.deadline_at) - Date.parse(asked.created_at), 30 * minuteMs)
  clock.jump(31 * minuteMs)
  assert.equal((await server.ended(id)).reason, 'done')
  const { answer, status, answered_by: by } = await server.get<Approval>(path)
  assert.deepEqual([answer, status, by], [{ decision: 'raise', limit_usd: 100 }, 'expired', null])
  assert.equal(repository.pullRequests.length, 1)
})

test('a budget of which more is spent than it would be raised to is declined at its deadline', async () => {
  const policy = { budgetDeadlineMinutes: 30, budgetRaiseToUsd: 1 }
  const ordered = await order('Spend.', { maxBudgetUsd: 0.5, ...policy })
  const { on_deadline: choice } = await server.get<Approval>(await budgetAsked(ordered.id))
  assert.equal(choice, 'deny')
  clock.jump(31 * minuteMs)
  assert.equal((await keptOf(ordered)).reason, 'budget_declined')
})

test('a task that has spent its budget ends when that is declined, after the request that crossed it', async () => {
  const ordered = await order('Spend.', { maxBudgetUsd: 0.5 })
  const { id } = ordered
  await server.post(await budgetAsked(id), { decision: 'deny' })
  const task = await keptOf(ordered)
  assert.equal(task.reason, 'budget_declined')
  assert.ok((task.result?.cost_usd ?? 0) > 0.5)
  const spans = (await server.events(id)).filter(({ type }) => type === 'agent.tool_use')
  assert.equal(spans.length, 1)
})

test('checks that fail go back to the agent three times, and then the task has failed', async () => {
  const ordered = await order('Mend wrongly.')
  const { id } = ordered
  const task = await keptOf(ordered)
  assert.equal(task.reason, 'checks_failed')
  assert.equal(task.result?.checks.outcome, 'failed')
  const events = await server.events(id)
  const count = (type: string): number => events.filter((event) => event.type === type).length
  assert.equal(count('task.checks_finished'), 4)
  assert.equal(count('system.message'), 3)
  assert.match(await server.artifact(id, 'checks-1.log'), /sum is wrong/)
})

test('a model that turns us away ends the task at once, as rejected', async () => {
  const { id } = await order('Be turned away.')
  const task = await server.ended(id)
  assert.equal(task.reason, 'model_rejected')
  assert.equal(task.result?.branch, null)
})

test('a model that is overloaded for a moment is waited for', async () => {
  const { id } = await order('Wait for the model.')
  const task = await server.ended(id)
  assert.equal(task.reason, 'no_changes', JSON.stringify(task.error))
})

test('a set-up command of the order that fails ends the task, and says what it printed', async () => {
  const { id } = await order('Sleep.', { setup: ['echo no such compiler; exit 3'] })
  const task = await server.ended(id)
  assert.equal(task.reason, 'setup_failed')
  assert.match(task.error?.message ?? '', /exited with 3: no such compiler/)
})

test('a repository that is not there ends the task as unreachable', async () => {
  const { id } = await server.order({
    type: 'custom',
    repoUrl: `${world.github.url}/acme/nothing`,
    instructions: 'Sleep.',
    priority: 'low',
  })
  assert.equal((await server.ended(id)).reason, 'repository_unreachable')
})

test('a task waits for the quota of the provider without a process, and goes on by itself', async () => {
  const { id, repository } = await order('Wait for the quota.')
  await server.event(id, (event) => event['reason'] === 'waiting_quota')
  const parked = await server.task(id)
  assert.equal(parked.status, 'running')
  assert.match(parked.message, /goes on at 20/)
  clock.jump(62 * minuteMs)
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(repository.pullRequests.length, 1)
  assertWholeLog(await server.events(id))
})

test('with a date that is set a wait for the quota is as long as it was, and no task fails of it', async () => {
  const { id } = await order('Wait twice for the quota.')
  const waited = async (): Promise<number> =>
    (await server.events(id)).filter((event) => event['reason'] === 'waiting_quota').length
  const store = await connectTo(world.dataDir)
  const leftMs = async (): Promise<number> => {
    const query = store.query<{ wake_at: Date }>('select wake_at from tasks where id = $1', [id])
    return ((await query).rows[0]?.wake_at.getTime() ?? 0) - clock.now()
  }
  try {
    for (const [times, stepMs] of [
      [1, 24 * 60 * minuteMs],
      [2, -60 * minuteMs],
    ] as const) {
      await until('it to wait', async () => (await waited()) === times, minuteMs)
      const before = await leftMs()
      clock.step(stepMs)
      const isAsLong = async () => Math.abs((await leftMs()) - before) < 5 * minuteMs
      await until('the wait to be moved', isAsLong)
      assert.equal((await server.task(id)).reason, 'waiting_quota')
      clock.jump(62 * minuteMs)
    }
  } finally {
    await store.end()
  }
  const task = await server.ended(id)
  assert.equal(task.reason, 'no_changes', JSON.stringify(task.error))
  assert.equal(await waited(), 2)
})

// From here on the provider counts as without quota for days: what comes later waits for that, too.
test('a quota that is gone for longer than a task waits ends it with a reason of its own', async () => {
  const { id } = await order('Wait too long.')
  const task = await server.ended(id)
  assert.equal(task.reason, 'quota_exhausted')
  assert.match(task.error?.message ?? '', /at most 840 hours in all \(QUOTA_WAIT_MAX_HOURS\)/)
  assert.match(task.error?.next ?? '', /Raise the limit/)
})

test('an account whose usage limit is reached is waited for until the day that its refusal names', async () => {
  const { id, repository } = await order('Wait for the month to end.')
  await server.event(id, (event) => event['reason'] === 'waiting_quota')
  const { status, message } = await server.task(id)
  assert.equal(status, 'running')
  assert.ok(message.includes(`goes on at ${backAt.toISOString().slice(0, 13)}`), message)
  const store = await connectTo(world.dataDir)
  const { rows } = await store.query('select wake_is_date from tasks where id = $1', [id])
  await store.end()
  assert.deepEqual(rows, [{ wake_is_date: true }])
  clock.jump(backAt.getTime() + 2 * minuteMs - clock.now())
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(repository.pullRequests.length, 1)
  assertWholeLog(await server.events(id))
})

/** The words of Anthropic's API. */
function usageLimitUntil(back: Date): string {
  const [day, time] = back.toISOString().split('T')
  return `You have reached your specified API usage limits. You will regain access on ${day} at ${time?.slice(0, 5)} UTC.`
}
