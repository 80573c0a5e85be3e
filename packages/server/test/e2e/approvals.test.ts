/** What humans are asked: the task waits without a process, and goes on with the answer. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Approval } from '@longhaul/client/contract'
import { say, script, together, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import type { Ordered } from '../support/ordered.ts'
import type { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  mend,
  sandboxProcessesOf,
  type World,
} from '../support/world.ts'

const minuteMs = 60_000
const questions = [
  {
    question: 'Which sum?',
    header: 'Sum',
    multiSelect: false,
    options: [
      { label: 'plus', description: 'adds' },
      { label: 'times', description: 'multiplies' },
    ],
  },
]
const scenario = script(
  when('Mend with leave', use('Bash', { command: mend }), say('Mended.')),
  when(
    'Mend twice',
    together(use('Bash', { command: mend }), use('Bash', { command: 'echo twice > twice' })),
    use('Bash', { command: 'echo twice > twice' }),
    say('Mended.'),
  ),
  when(
    'Ask first',
    use('AskUserQuestion', { questions }),
    use('Bash', { command: mend }),
    say('Mended.'),
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

/** An agent that asks about its shell, or may ask questions. */
async function agentOf(policy: object | null): Promise<string> {
  const configs = policy === null ? [] : [{ name: 'bash', permission_policy: policy }]
  const body = {
    name: 'asking',
    model: 'claude-sonnet-5-5',
    tools: [{ type: 'agent_toolset_20260401', configs }],
  }
  return (await server.post<{ id: string }>('/v1/agents', body)).id
}

async function order(instructions: string, policy: object | null): Promise<Ordered> {
  return world.order(server, { instructions, agent: await agentOf(policy) })
}

async function asked(id: string): Promise<Approval> {
  let found: Approval | undefined
  await until(
    'a question',
    async () => {
      const path = `/v1/tasks/${id}/approvals?status=pending`
      found = (await server.get<{ data: Approval[] }>(path)).data[0]
      return found !== undefined
    },
    minuteMs,
  )
  assert.ok(found)
  return found
}

const always = { type: 'always_ask' }

test('a call that needs leave parks its task without a process, and is made when it is allowed', async () => {
  const { id, repository } = await order('Mend with leave.', always)
  const approval = await asked(id)
  assert.equal(approval.kind, 'tool_permission')
  assert.deepEqual(approval.request, {
    tool: 'bash',
    tool_use_id: 'tool_use_id' in approval.request ? approval.request.tool_use_id : '',
    input: { command: mend },
  })
  await until(
    'its processes to end',
    () => sandboxProcessesOf(world.dataDir).length === 0,
    minuteMs,
  )
  const parked = await server.task(id)
  assert.equal(parked.status, 'running')
  assert.equal(parked.reason, 'waiting_approval')
  assert.equal(
    (await server.get<{ status: string }>(`/v1/sessions/${parked.session_id}`)).status,
    'idle',
  )

  const path = `/v1/tasks/${id}/approvals/${approval.id}`
  const answered = await server.post<Approval>(path, { decision: 'allow' })
  assert.equal(answered.status, 'answered')
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(repository.pullRequests.length, 1)
  const events = await server.events(id)
  assertWholeLog(events)
  assert.equal(events.filter(({ type }) => type === 'task.approval_requested').length, 1)
  assert.equal(events.filter(({ type }) => type === 'task.approval_answered').length, 1)
  const uses = events.filter(({ type }) => type === 'agent.tool_use')
  assert.deepEqual(
    uses.map((event) => event['evaluated_permission']),
    ['ask'],
  )
  assert.equal(world.model.duplicateTurns(), 0)
  // The same answer again is the same; another one comes too late, and is told which was first.
  assert.equal((await server.post<Approval>(path, { decision: 'allow' })).status, 'answered')
  const late = await server.send(path, { decision: 'deny' })
  assert.equal(late.status, 409)
  const body = (await late.json()) as {
    error: { details: { error_code: string; approval: Approval } }
  }
  assert.equal(body.error.details.error_code, 'already_decided')
  assert.deepEqual(body.error.details.approval.answer, { decision: 'allow' })
})

test('a call is made with the input that a human wrote instead', async () => {
  const { id, repository } = await order('Mend with leave.', always)
  const approval = await asked(id)
  const input = { command: `${mend}; echo edited > edited` }
  await server.post(`/v1/tasks/${id}/approvals/${approval.id}`, { decision: 'allow', input })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'edited'), 'edited\n')
})

test('a call that is refused is not made, and the agent is told why', async () => {
  const { id } = await order('Mend with leave.', always)
  const approval = await asked(id)
  const answer = { decision: 'deny', message: 'Not on a Friday.' }
  await server.post(`/v1/tasks/${id}/approvals/${approval.id}`, answer)
  const task = await server.ended(id)
  assert.equal(task.reason, 'no_changes', JSON.stringify(task.error))
  const results = (await server.events(id)).filter(({ type }) => type === 'agent.tool_result')
  assert.match(JSON.stringify(results), /Not on a Friday/)
})

test('of two calls at once one waits, and leave for always covers the other', async () => {
  const { id, repository } = await order('Mend twice.', always)
  const approval = await asked(id)
  const answer = { decision: 'allow_always' }
  await server.post(`/v1/tasks/${id}/approvals/${approval.id}`, answer)
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'twice'), 'twice\n')
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  assert.equal(data.length, 1)
})

test('a question of the agent is answered by choice', async () => {
  const { id } = await order('Ask first.', null)
  const approval = await asked(id)
  assert.equal(approval.kind, 'question')
  assert.equal((await server.task(id)).reason, 'waiting_answer')
  const path = `/v1/tasks/${id}/approvals/${approval.id}`
  const unfit = await server.send(path, { decision: 'allow' })
  assert.equal(unfit.status, 400)
  await server.post(path, { decision: 'answer', answers: { 'Which sum?': 'plus' } })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const results = (await server.events(id)).filter(({ type }) => type === 'agent.tool_result')
  assert.match(JSON.stringify(results[0]), /Which sum.*plus/)
})

test('a deadline decides as the policy says: the agent is told, or the task has failed', async () => {
  const denied = await order('Mend with leave.', { ...always, deadline_minutes: 60 })
  const failing = await order('Mend with leave.', {
    ...always,
    deadline_minutes: 60,
    on_deadline: 'fail',
  })
  await Promise.all([asked(denied.id), asked(failing.id)])
  clock.jump(61 * minuteMs)
  const told = await server.ended(denied.id)
  assert.equal(told.reason, 'no_changes', JSON.stringify(told.error))
  const expired = await server.ended(failing.id)
  assert.equal(expired.reason, 'approval_expired')
  assertWholeLog(await server.events(failing.id))
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${denied.id}/approvals`)
  assert.equal(data[0]?.status, 'expired')
})

test('time that a task waits for a human is not its own time', async () => {
  const { id } = await order('Mend with leave.', always)
  const approval = await asked(id)
  clock.jump(10 * 60 * minuteMs)
  await server.post(`/v1/tasks/${id}/approvals/${approval.id}`, { decision: 'allow' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
})

test('a parked task that is cancelled ends at once, and its question is withdrawn', async () => {
  const { id } = await order('Mend with leave.', always)
  const approval = await asked(id)
  await server.cancel(id)
  const task = await server.ended(id)
  assert.equal(task.reason, 'cancelled')
  const path = `/v1/tasks/${id}/approvals/${approval.id}`
  assert.equal((await server.get<Approval>(path)).status, 'withdrawn')
  assert.equal((await server.send(path, { decision: 'allow' })).status, 409)
})

test('a question survives kill -9, and its answer is taken up by the next process', async () => {
  await using other = await makeWorld([scenario])
  const repository = await other.repository('asked', brokenSum)
  let running = await other.start()
  const body = {
    name: 'asking',
    model: 'claude-sonnet-5-5',
    tools: [{ type: 'agent_toolset_20260401', default_config: { permission_policy: always } }],
  }
  const agent = await running.post<{ id: string }>('/v1/agents', body)
  const { id } = await running.order({
    repoUrl: repository.url,
    instructions: 'Mend with leave.',
    agent: agent.id,
  })
  await running.event(id, ({ type }) => type === 'task.approval_requested')
  await running.kill()
  running = await other.start()
  const { data } = await running.get<{ data: Approval[] }>('/v1/approvals?status=pending')
  assert.equal(data.length, 1)
  const path = `/v1/tasks/${id}/approvals/${data[0]?.id}`
  const answers = await Promise.all([
    running.send(path, { decision: 'allow' }),
    running.send(path, { decision: 'deny' }),
    running.send(path, { decision: 'allow_always' }),
  ])
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409])
  const task = await running.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assertWholeLog(await running.events(id))
  assert.equal(other.model.duplicateTurns(), 0)
})
