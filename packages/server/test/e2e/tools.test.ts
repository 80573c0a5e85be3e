/** The typed tools, called by a scripted model through the real CLI, sandbox and server. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, makeWorld, type World } from '../support/world.ts'

const scenario = script(
  when(
    'Look',
    use('mcp__longhaul__report_progress', { message: 'Reading the code.', percent: 50 }),
    use('mcp__longhaul__report_progress', { message: '', more: true }),
    say('# Report'),
  ),
)

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

test('an agent reports progress into the log, and hears what was wrong with a report', async () => {
  const { url: repoUrl } = await world.repository('look', { 'a.txt': 'a\n' })
  const { id } = await server.order({ type: 'analysis', repoUrl, instructions: 'Look.' })
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
    calls.map(({ mcp_server_name: server, name }) => `${server} ${name}`),
    ['longhaul report_progress', 'longhaul report_progress'],
  )
  const results = events.filter(({ type }) => type === 'agent.mcp_tool_result')
  assert.deepEqual(
    results.map(({ is_error }) => is_error),
    [false, true],
  )
  assert.match(JSON.stringify(results[1]), /message: Too small.*Unrecognized key/)
})
