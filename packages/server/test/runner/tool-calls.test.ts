import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { Metrics } from '../../src/metrics.ts'
import { ToolCalls } from '../../src/runner/tool-calls.ts'

/** What a call of a tool, and its end, count. */
async function counted(use: object, result: object): Promise<string[]> {
  const metrics = new Metrics()
  const calls = new ToolCalls({ metrics, clock: systemClock })
  calls.saw({ type: 'agent.tool_use', tool_use_id: 'a', ...use })
  calls.saw({ type: 'agent.tool_result', tool_use_id: 'a', ...result })
  const lines = (await metrics.render()).text.split('\n')
  return lines.flatMap((line) => /^longhaul_tool_calls_total\{(.*)\} 1$/.exec(line)?.[1] ?? [])
}

const error = { is_error: true }

test('a built-in tool is counted by its name and its end', async () => {
  assert.deepEqual(await counted({ name: 'Bash' }, {}), ['tool="Bash",outcome="succeeded"'])
  assert.deepEqual(await counted({ name: 'Bash' }, error), ['tool="Bash",outcome="failed"'])
  const denied = { name: 'Bash', evaluated_permission: 'deny' }
  assert.deepEqual(await counted(denied, error), ['tool="Bash",outcome="denied"'])
})

test('a tool that is called by its former name is counted as what it is', async () => {
  const denied = { name: 'Task', evaluated_permission: 'deny' }
  assert.deepEqual(await counted(denied, error), ['tool="Agent",outcome="denied"'])
})

test('names that a model made up are one label', async () => {
  assert.deepEqual(await counted({ name: 'bash"} 1\n' }, error), ['tool="other",outcome="failed"'])
})

test('tools of MCP servers are counted together; typed ones count themselves', async () => {
  const use = { type: 'agent.mcp_tool_use', name: 'anything' }
  const end = { type: 'agent.mcp_tool_result', tool_use_id: undefined, mcp_tool_use_id: 'a' }
  const mcp = ['tool="mcp",outcome="succeeded"']
  assert.deepEqual(await counted({ ...use, mcp_server_name: 'notes' }, end), mcp)
  assert.deepEqual(await counted({ ...use, mcp_server_name: 'longhaul' }, end), [])
})

test('a call that never ends is not counted', async () => {
  assert.deepEqual(await counted({ name: 'Bash' }, { tool_use_id: 'b' }), [])
})
