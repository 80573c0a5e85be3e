import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classifyExit, classifyResult } from '../../src/agent/classify.ts'

const apiError = {
  type: 'result',
  subtype: 'success',
  is_error: true,
  terminal_reason: 'api_error',
}

const table: [name: string, result: object, reason: string, retry: string][] = [
  ...[401, 403].map((status): (typeof table)[number] => [
    `status ${status}`,
    { ...apiError, api_error_status: status },
    'model_rejected',
    'never',
  ]),
  ...[400, 404, 413, 422].map((status): (typeof table)[number] => [
    `status ${status}`,
    { ...apiError, api_error_status: status },
    'agent_error',
    'never',
  ]),
  ...[408, 429, 500, 502, 529].map((status): (typeof table)[number] => [
    `status ${status}`,
    { ...apiError, api_error_status: status },
    'agent_error',
    'later',
  ]),
  [
    'no answer at all',
    { ...apiError, api_error_status: null, api_error: 'connection_failed' },
    'agent_error',
    'later',
  ],
  [
    'an answer that is too long',
    { ...apiError, api_error_status: null, api_error: 'max_output_tokens' },
    'agent_error',
    'never',
  ],
  [
    'a refusal, which is an API error as well',
    { ...apiError, api_error_status: null, stop_reason: 'refusal' },
    'refused',
    'never',
  ],
  [
    'a prompt that is too long',
    { ...apiError, terminal_reason: 'prompt_too_long' },
    'agent_error',
    'never',
  ],
  ['used-up turns', { subtype: 'error_max_turns', is_error: true }, 'turns_exhausted', 'never'],
  [
    'a used-up budget',
    { subtype: 'error_max_budget_usd', is_error: true },
    'budget_declined',
    'never',
  ],
  [
    'an interruption',
    { subtype: 'error_during_execution', is_error: true, terminal_reason: 'aborted_tools' },
    'cancelled',
    'never',
  ],
  [
    'any other error',
    { subtype: 'error_during_execution', is_error: true, errors: ['No conversation found'] },
    'agent_error',
    'never',
  ],
  ['nothing that is known', {}, 'agent_error', 'never'],
]

for (const [name, result, reason, retry] of table) {
  test(`${name} is ${reason}, to be tried again ${retry}`, () => {
    const end = classifyResult(result)
    assert.ok(end.kind === 'failed')
    assert.deepEqual([end.reason, end.retry], [reason, retry])
    assert.notEqual(end.message, '')
  })
}

test('a success that is no error is finished, with its text', () => {
  const result = { subtype: 'success', is_error: false, result: 'Done.', stop_reason: 'end_turn' }
  assert.deepEqual(classifyResult(result), { kind: 'finished', text: 'Done.' })
})

test('an error is quoted, up to 500 characters', () => {
  const end = classifyResult({ ...apiError, api_error_status: 400, result: 'x'.repeat(1000) })
  assert.equal(end.kind === 'failed' && end.message.length, 501)
})

test('a process that died may be started again, and the message names the signal', () => {
  for (const exit of [
    { code: null, signal: 'SIGKILL', stderr: 'noise' },
    { code: 137, signal: null, stderr: 'noise' },
  ]) {
    assert.deepEqual(classifyExit(exit), {
      kind: 'failed',
      reason: 'agent_error',
      message: "The agent's process was ended by SIGKILL.",
      retry: 'later',
      died: true,
    })
  }
})

test('a process that gave up is quoted', () => {
  const end = classifyExit({ code: 1, signal: null, stderr: 'cannot start\n' })
  assert.equal(end.message, "The agent's process ended with code 1: cannot start")
})
