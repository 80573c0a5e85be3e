import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { Webhook } from 'standardwebhooks'
import { openReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, secrets } from '../support/world.ts'

const refactoring = script(
  when(
    'Make sum add',
    use('Bash', { command: 'npm test' }),
    use('Bash', { command: mend }),
    use('Bash', { command: 'npm test' }),
    say('sum.sh adds now; the test passes.'),
  ),
  when('Change nothing', say('There is nothing to change.')),
  when('What is in here', say('# Report\n\nA shell script that should add.')),
)

test('an order becomes a tested pull request, and whoever asked is told once, signed', async () => {
  await using world = await makeWorld([refactoring])
  const repository = await world.repository('sum', brokenSum)
  await using receiver = await openReceiver()
  const host = `127.0.0.1:${receiver.port}`
  await using server = await world.start({ CALLBACK_ALLOW: host })

  const ordered = await server.order({
    repoUrl: repository.url,
    instructions: 'Make sum add.',
    priority: 'high',
    callbackUrl: `http://${host}/done`,
    context: { chat: 7 },
    payload: { ticket: 'A-1' },
  })
  assert.equal(ordered.status, 'pending')
  const task = await server.ended(ordered.id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.equal(task.reason, 'done')

  const branch = task.result?.branch ?? ''
  assert.match(branch, /^agent\/refactor-make-sum-add-[0-9a-z]{8}$/)
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.match(await repository.diff('main', branch), /^\+echo \$\(\( \$1 \+ \$2 \)\)$/m)
  assert.deepEqual(
    task.result?.commits.map(({ subject }) => subject),
    ['Make sum add.'],
  )
  const [pull, ...more] = repository.pullRequests
  assert.equal(more.length, 0)
  assert.equal(pull?.head, branch)
  assert.equal(pull?.base, 'main')
  assert.equal(pull?.title, 'Make sum add.')
  assert.match(pull?.body ?? '', /sum\.sh adds now; the test passes\./)
  assert.match(pull?.body ?? '', /✅ ` npm test `/)
  assert.match(pull?.body ?? '', /\]\(http:\/\/127\.0\.0\.1:\d+\/v1\/tasks\/task_/)
  assert.equal(task.result?.pull_request_url, pull?.url)
  assert.equal(task.result?.checks.outcome, 'passed')
  assert.ok((task.result?.usage.output_tokens ?? 0) > 0)
  assert.ok((task.result?.cost_usd ?? 0) > 0)

  const workflow = await server.workflow(ordered.id)
  assert.equal(workflow.status, 'completed')
  assert.equal(workflow.result?.pullRequestUrl, pull?.url)
  assert.deepEqual(workflow.payload, { ticket: 'A-1' })
  assert.ok((workflow.startedAt ?? 0) >= workflow.createdAt)
  assert.ok((workflow.completedAt ?? 0) >= (workflow.startedAt ?? 0))

  const events = await server.events(ordered.id)
  assertWholeLog(events)
  const phases = events.flatMap((event) => (event.type === 'task.updated' ? [event['reason']] : []))
  assert.deepEqual(phases, ['preparing', 'agent', 'checking', 'publishing'])
  assert.equal(events.filter(({ type }) => type === 'agent.tool_use').length, 3)
  assert.equal(events.filter(({ type }) => type === 'agent.tool_result').length, 3)

  await until('the callback', () => receiver.received.length > 0)
  const [call] = receiver.received
  const verified = new Webhook(secrets.callback).verify(call?.body ?? '', call?.headers ?? {})
  assert.ok(typeof verified === 'object' && verified !== null)
  assert.deepEqual(Reflect.get(verified, 'context'), { chat: 7 })
  assert.equal(Reflect.get(verified, 'type'), 'task.completed')
  assert.equal(Reflect.get(Reflect.get(verified, 'data'), 'id'), ordered.id)
  assert.equal(receiver.received.length, 1)
  assert.equal(world.model.duplicateTurns(), 0)
  assert.deepEqual(world.model.violations, [])
})

test('an order that needs no change is completed without a branch, and an analysis with a report', async () => {
  await using world = await makeWorld([refactoring])
  const repository = await world.repository('sum', brokenSum)
  await using server = await world.start()
  const repoUrl = repository.url
  const change = { type: 'custom', repoUrl, instructions: 'Change nothing.', priority: 'low' }
  const nothing = await server.order(change)
  const ask = { type: 'analysis', repoUrl, instructions: 'What is in here?' }
  const question = await server.order(ask)

  const unchanged = await server.ended(nothing.id)
  assert.equal(unchanged.reason, 'no_changes')
  assert.equal(unchanged.result?.checks.outcome, 'skipped')
  const analysed = await server.ended(question.id)
  assert.equal(analysed.reason, 'report')
  assert.match(analysed.result?.summary ?? '', /^# Report/)
  assert.equal(await server.artifact(question.id, 'report.md'), analysed.result?.summary)
  assert.deepEqual(await repository.branches(), ['main'])
  assert.equal(repository.pullRequests.length, 0)
})
