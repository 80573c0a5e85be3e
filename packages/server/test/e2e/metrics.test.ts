import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { Metrics } from '../../src/metrics.ts'
import type { ServerApi } from '../support/server-api.ts'
import { brokenSum, makeWorld, mend } from '../support/world.ts'

const scenario = script(
  when(
    'Make sum add',
    use('Bash', { command: mend }),
    use('Bash', { command: 'exit 3' }),
    use('Read', { file_path: 'sum.sh' }),
    use('mcp__longhaul__report_progress', { message: 'sum.sh is mended.' }),
    say('sum.sh adds now.'),
  ),
)

test('one task and one reader move every metric there is', async () => {
  await using world = await makeWorld([scenario])
  const repository = await world.repository('sum', brokenSum)
  await using server = await world.start({ MODEL: 'claude-sonnet-5-5' })
  const order = { repoUrl: repository.url, instructions: 'Make sum add.' }
  const { id } = await server.order(order)
  const { session_id: session } = await server.task(id)
  const reader = new AbortController()
  const stream = await server.request(`/v1/sessions/${session}/events/stream?after=0`, {
    signal: reader.signal,
  })
  assert.equal(stream.status, 200)
  await stream.body?.getReader().read()
  const moved = new Set(namesAbove(await scrape(server), 0))
  reader.abort()
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))

  const text = await scrape(server)
  for (const name of namesAbove(text, 0)) moved.add(name)
  const names = new Metrics().describe().map(({ name }) => name)
  // Work that waits is measured where no worker takes it at once: test/http/metrics.test.ts.
  // A limit is hit in test/e2e/limits.test.ts.
  // Bodies are held for a moment, which test/gateway/bodies.test.ts sees.
  // A provider without quota closes the breaker in test/gateway/breaker.test.ts.
  // Deliveries are counted in test/delivery/receivers.test.ts.
  // Alerts are raised in test/telemetry/alerts.test.ts and test/e2e/watchdogs.test.ts.
  const elsewhere = [
    'longhaul_deliveries_total',
    'longhaul_deliveries_waiting',
    'longhaul_deliveries_oldest_age_seconds',
    'longhaul_queue_oldest_age_seconds',
    'longhaul_sandbox_limits_reached_total',
    'longhaul_model_breaker_open',
    'longhaul_gateway_body_bytes',
    'longhaul_alert',
    'longhaul_task_alerts_total',
  ]
  for (const name of names.filter((each) => !elsewhere.includes(each)))
    assert.ok(moved.has(name) || moved.has(`${name}_count`), `nothing moved ${name}`)

  const value = (sample: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${sample} `))
        ?.split(' ')
        .at(-1),
    )
  assert.equal(value('longhaul_tool_calls_total{tool="Bash",outcome="succeeded"}'), 1)
  assert.equal(value('longhaul_tool_calls_total{tool="Bash",outcome="failed"}'), 1)
  assert.equal(value('longhaul_tool_calls_total{tool="Read",outcome="succeeded"}'), 1)
  assert.equal(value('longhaul_tool_calls_total{tool="report_progress",outcome="succeeded"}'), 1)
  assert.equal(
    value('longhaul_tasks_ended_total{type="refactor",status="completed",reason="done"}'),
    1,
  )
  for (const phase of ['preparing', 'agent', 'checking', 'publishing'])
    assert.equal(value(`longhaul_task_phase_duration_seconds_count{phase="${phase}"}`), 1)
  const model = 'model="claude-sonnet-5-5"'
  assert.ok(value(`longhaul_model_requests_total{${model},status="200"}`) >= 4)
  const output = value(`longhaul_model_tokens_total{${model},kind="output"}`)
  assert.equal(output, task.result?.usage.output_tokens)
  const cost = value(`longhaul_model_cost_usd_total{${model}}`)
  // Sums of floats drift.
  assert.equal(cost.toFixed(9), task.result?.cost_usd.toFixed(9))
  assert.ok(value('longhaul_events_appended_total') > 10)
})

async function scrape(server: ServerApi): Promise<string> {
  return (await server.request('/metrics')).text()
}

/** Names of samples, without their labels, that are more than `least`. */
function namesAbove(text: string, least: number): string[] {
  return text
    .split('\n')
    .filter((line) => /^[a-z]/.test(line) && Number(line.split(' ').at(-1)) > least)
    .map((line) => line.replace(/[{ ].*/, ''))
}
