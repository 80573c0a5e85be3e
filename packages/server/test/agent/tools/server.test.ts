import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineTool, type Tool, ToolRefused } from '../../../src/agent/tools/tool.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { connectTools } from './client.ts'

const add = defineTool({
  name: 'add',
  description: 'Adds.',
  input: {
    a: z.number().max(10).describe('One.'),
    b: z.number().describe('Other.'),
    how: z.string().optional().describe('A way to end.'),
  },
  readOnly: true,
  async run({ a, b, how }) {
    if (how === 'refuse') throw new ToolRefused('I add on weekdays only.')
    if (how === 'break') throw new Error('secret detail of ours')
    return how === 'flood' ? 'x'.repeat(100_000) : String(a + b)
  },
})

/** Never answers; tells when it was told to stop. */
function forever(): { tool: Tool; begun: Promise<void>; stopped: Promise<unknown> } {
  const begun = Promise.withResolvers<void>()
  const stopped = Promise.withResolvers<unknown>()
  const tool = defineTool({
    name: 'forever',
    description: 'Waits.',
    input: {},
    readOnly: true,
    timeoutMs: 5000,
    run: (_, { signal }) => {
      signal.addEventListener('abort', () => stopped.resolve(signal.reason))
      begun.resolve()
      return new Promise(() => undefined)
    },
  })
  return { tool, begun: begun.promise, stopped: stopped.promise }
}

test('a tool is listed with a strict schema, always loaded, and answers text', async () => {
  await using tools = await connectTools([add])
  const { tools: listed } = await tools.client.listTools()
  const [tool] = listed
  assert.equal(tool?.name, 'add')
  assert.deepEqual(tool.inputSchema, {
    type: 'object',
    properties: {
      a: { type: 'number', maximum: 10, description: 'One.' },
      b: { type: 'number', description: 'Other.' },
      how: { type: 'string', description: 'A way to end.' },
    },
    required: ['a', 'b'],
    additionalProperties: false,
  })
  assert.deepEqual(tool._meta, { 'anthropic/alwaysLoad': true })
  assert.deepEqual(tool.annotations, { readOnlyHint: true })
  assert.equal(await tools.call('add', { a: 1, b: 2 }), '3')
  assert.deepEqual(
    tools.calls.map(({ tool: name, outcome }) => [name, outcome]),
    [['add', 'succeeded']],
  )
})

test('what is wrong with an input is said at once, field by field', async () => {
  await using tools = await connectTools([add])
  const said = await tools.call('add', { a: 11, b: 'two', c: 1 })
  assert.match(said, /^error: The input of add is not valid\. /)
  for (const part of ['a: Too big', 'b: Invalid input: expected number', 'Unrecognized key: "c"'])
    assert.ok(said.includes(part), said)
})

test('each way to end is an answer, and is observed', async () => {
  await using tools = await connectTools([add])
  const give = (how: string) => tools.call('add', { a: 1, b: 2, how })
  assert.equal(await give('refuse'), 'error: I add on weekdays only.')
  const broken = await give('break')
  assert.match(broken, /^error: add failed for a reason that is not yours/)
  assert.ok(!broken.includes('secret'))
  const flood = await give('flood')
  assert.ok(flood.length < 41_000)
  assert.match(flood, /\[60000 characters left out\]$/)
  assert.equal(await tools.call('subtract'), 'error: There is no tool subtract.')
  assert.deepEqual(
    tools.calls.map(({ outcome }) => outcome),
    ['refused', 'failed', 'succeeded'],
  )
})

test('a tool that is off is not there, and one that is denied is refused', async () => {
  const policy = (name: string) => (name === 'add' ? 'deny' : 'off')
  await using tools = await connectTools([add, forever().tool], { policy })
  const { tools: listed } = await tools.client.listTools()
  assert.deepEqual(
    listed.map(({ name }) => name),
    ['add'],
  )
  assert.equal(
    await tools.call('add', { a: 1, b: 2 }),
    "error: The agent's profile does not allow add.",
  )
  assert.equal(await tools.call('forever'), 'error: There is no tool forever.')
  assert.deepEqual(
    tools.calls.map(({ outcome }) => outcome),
    ['denied'],
  )
})

test('a call that takes too long is ended, and its tool is told', async () => {
  const clock = new ManualClock()
  const { tool, begun, stopped } = forever()
  await using tools = await connectTools([tool], { clock })
  const said = tools.call('forever')
  await begun
  clock.advance(5000)
  assert.equal(await said, 'error: forever took longer than 5 s and was ended.')
  assert.match(String(await stopped), /too long/)
  assert.deepEqual(tools.calls, [{ tool: 'forever', outcome: 'timed_out', durationMs: 5000 }])
})

test('closing the agent ends its calls', async () => {
  const closing = new AbortController()
  const { tool, begun, stopped } = forever()
  await using tools = await connectTools([tool], { signal: closing.signal })
  const said = tools.call('forever')
  await begun
  closing.abort(new Error('the agent was closed'))
  assert.equal(await said, 'error: The call was cancelled.')
  assert.match(String(await stopped), /closed/)
})

test('a call that its caller gives up is ended', async () => {
  const { tool, begun, stopped } = forever()
  await using tools = await connectTools([tool])
  const giveUp = new AbortController()
  const said = assert.rejects(tools.call('forever', {}, giveUp.signal))
  await begun
  giveUp.abort()
  await said
  await stopped
})

test('calls at once are bounded', async () => {
  const closing = new AbortController()
  const { tool } = forever()
  await using tools = await connectTools([tool], { signal: closing.signal })
  const open = Array.from({ length: 32 }, () => tools.call('forever'))
  assert.match(await tools.call('forever'), /^error: More than 32 tool calls at once/)
  closing.abort(new Error('over'))
  await Promise.all(open)
})
