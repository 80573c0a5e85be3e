import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import { type Mapped, MessageMap } from '../../src/agent/messages.ts'
import { ManualClock } from '../support/manual-clock.ts'

const mapper = () =>
  new MessageMap({ sessionId: 'sesn_1', clock: new ManualClock(), access: () => 'allow' })
const map = (map: MessageMap, message: unknown): Mapped => map.map(message as SDKMessage)
const one = (message: unknown) => map(mapper(), message).events

test('text, thinking and tool calls become events, one a block', () => {
  const content = [
    { type: 'thinking', thinking: 'hm' },
    { type: 'text', text: 'I look.' },
    { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: { command: 'ls' } },
  ]
  assert.deepEqual(one({ type: 'assistant', message: { id: 'msg_1', content } }), [
    { type: 'agent.thinking' },
    { type: 'agent.message', content: [{ type: 'text', text: 'I look.' }] },
    {
      type: 'agent.tool_use',
      name: 'Bash',
      tool_use_id: 'toolu_1',
      input: { command: 'ls' },
      evaluated_permission: 'allow',
    },
  ])
})

test('an answer that the CLI made up is not said by the agent', () => {
  const message = { model: '<synthetic>', content: [{ type: 'text', text: 'API Error: 400' }] }
  assert.deepEqual(one({ type: 'assistant', message, error: 'unknown' }), [])
})

test('a tool result keeps its blocks; a plain text becomes one', () => {
  const content = [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'out', is_error: true }]
  assert.deepEqual(one({ type: 'user', message: { content } }), [
    {
      type: 'agent.tool_result',
      tool_use_id: 'toolu_1',
      content: [{ type: 'text', text: 'out' }],
      is_error: true,
    },
  ])
})

test('a tool result is cut at a mebibyte, and the cut is named', () => {
  const text = 'x'.repeat(1024 * 1024 + 5)
  const image = { type: 'image', source: { data: 'A'.repeat(2 * 1024 * 1024) } }
  const big = (content: unknown) =>
    one({ type: 'user', message: { content: [{ type: 'tool_result', content }] } })
  const [cut] = big(text)
  assert.match(JSON.stringify(cut), /x\\n\[5 characters left out\]/)
  assert.match(JSON.stringify(big([image])), /\[image of \d+ characters left out\]/)
})

test('calls of MCP tools and their results have names of their own', () => {
  const messages = mapper()
  const use = { type: 'tool_use', id: 'toolu_1', name: 'mcp__task__ask_human', input: {} }
  const result = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'yes' }
  const [called] = map(messages, { type: 'assistant', message: { content: [use] } }).events
  const [answered] = map(messages, { type: 'user', message: { content: [result] } }).events
  assert.equal(called?.type, 'agent.mcp_tool_use')
  assert.deepEqual([called?.['mcp_server_name'], called?.['name']], ['task', 'ask_human'])
  assert.equal(answered?.type, 'agent.mcp_tool_result')
  assert.equal(answered?.['mcp_tool_use_id'], 'toolu_1')
})

test("a subagent's thread has the same id in every message and every process", () => {
  const content = [{ type: 'text', text: 'sub' }]
  const message = { type: 'assistant', parent_tool_use_id: 'toolu_9', message: { content } }
  const [first] = one(message)
  const [second] = one(message)
  assert.match(String(first?.thread_id), /^sthr_[0-9a-f]{26}$/)
  assert.equal(first?.thread_id, second?.thread_id)
})

test('a request is a span from the question to the last frame, with its usage', () => {
  const messages = mapper()
  const events = [
    { type: 'system', subtype: 'status', status: 'requesting' },
    frame({ type: 'message_start', message: { id: 'msg_1', usage: { input_tokens: 9 } } }),
    frame({ type: 'message_delta', usage: { output_tokens: 4 } }),
    frame({ type: 'message_stop' }),
  ].flatMap((message) => map(messages, message).events)
  const [start, end] = events
  assert.equal(events.length, 2)
  assert.equal(start?.type, 'span.model_request_start')
  assert.deepEqual(end, {
    type: 'span.model_request_end',
    model_request_start_id: start?.id,
    is_error: false,
    model_usage: {
      input_tokens: 9,
      output_tokens: 4,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
    },
  })
})

test('a request without an answer ends with the turn, as an error', () => {
  const messages = mapper()
  map(messages, { type: 'system', subtype: 'status', status: 'requesting' })
  const [end] = map(messages, { type: 'result' }).events
  assert.deepEqual([end?.type, end?.['is_error']], ['span.model_request_end', true])
})

test('retries are told, and that the session runs again', () => {
  const messages = mapper()
  const retry = { type: 'system', subtype: 'api_retry', error_status: 429 }
  const types = [retry, retry, frame({ type: 'message_start', message: {} })]
    .flatMap((message) => map(messages, message).events)
    .map(({ type }) => type)
  assert.deepEqual(types, [
    'session.error',
    'session.status_rescheduled',
    'session.error',
    'session.status_running',
    'span.model_request_start',
  ])
})

test('an unknown or malformed message becomes nothing', () => {
  const strange = [
    null,
    'text',
    {},
    { type: 'brand_new' },
    { type: 'assistant' },
    { type: 'assistant', message: { content: [null, 3, { type: 'new_block' }] } },
    { type: 'user', message: { content: 'text' } },
    { type: 'system', subtype: 'brand_new' },
    { type: 'stream_event', event: null },
    frame({ type: 'content_block_delta', delta: { type: 'text_delta', text: 'orphan' } }),
  ]
  for (const message of strange) {
    assert.deepEqual(map(mapper(), message), { events: [], deltas: [] })
  }
})

function frame(event: object) {
  return { type: 'stream_event', parent_tool_use_id: null, event }
}
