import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import { Turns } from '../../src/agent/turn.ts'
import type { TurnEnd } from '../../src/agent/turn-end.ts'
import { ManualClock } from '../support/manual-clock.ts'

const stallMs = 420_000
const deadlineMs = 3_600_000

test('an idle session with a result is a finished turn', async () => {
  const { turn, hear } = setUp()
  hear(running, result('Done.'), idle)
  assert.deepEqual(await turn, { kind: 'finished', text: 'Done.' })
})

test('a result is not the end while the session is not idle', async () => {
  const { isOver, hear } = setUp()
  hear(running, result('Done.'))
  assert.equal(await isOver(), false)
  hear(idle)
  assert.equal(await isOver(), true)
})

test('a command that was moved to the background is waited for, however silent it is', async () => {
  const { turn, isOver, hear, clock } = setUp()
  hear(running, call('toolu_1', {}), started('b1', 'toolu_1'), live('b1'), result('Moved.'), idle)
  clock.advance(stallMs * 2)
  assert.equal(await isOver(), false)
  hear(notification('b1'), live(), running, result('It passed.'), idle)
  assert.deepEqual(await turn, { kind: 'finished', text: 'It passed.' })
})

test('after something ended in the background, the turn that tells the model is waited for', async () => {
  const { isOver, hear, clock } = setUp()
  hear(running, live('b1'), result('Moved.'), idle, notification('b1'), live())
  clock.advance(2000)
  assert.equal(await isOver(), false)
  hear(running)
  clock.advance(60_000)
  assert.equal(await isOver(), false)
  hear(result('It passed.'), idle)
  assert.equal(await isOver(), true)
})

test('if no such turn comes, the turn is over after a moment', async () => {
  const { turn, hear, clock } = setUp()
  hear(running, live('b1'), result('Moved.'), idle, notification('b1'), live(), idle)
  clock.advance(3000)
  assert.deepEqual(await turn, { kind: 'finished', text: 'Moved.' })
})

test('what the model started in the background gets a minute, then it is stopped', async () => {
  const { turn, isOver, hear, clock, stopped } = setUp()
  hear(running, call('toolu_1', { run_in_background: true }))
  hear(live('b1'), started('b1', 'toolu_1'), result('It listens.'), idle)
  clock.advance(59_000)
  assert.equal(await isOver(), false)
  clock.advance(1000)
  assert.deepEqual(stopped, ['b1'])
  assert.deepEqual(await turn, { kind: 'finished', text: 'It listens.' })
})

test('a subagent in the background is work', async () => {
  const { isOver, hear, clock, stopped } = setUp()
  hear(running, call('toolu_1', { run_in_background: true }))
  hear(live('a1', 'local_agent'), started('a1', 'toolu_1'), result('Delegated.'), idle)
  clock.advance(stallMs * 2)
  assert.equal(await isOver(), false)
  assert.deepEqual(stopped, [])
})

test('housekeeping of the CLI is not waited for', async () => {
  const { isOver, hear } = setUp()
  hear(running, ambient('m1'), result('Done.'), idle)
  assert.equal(await isOver(), true)
})

test('an error ends the turn, whatever is left in the background', async () => {
  const { turn, hear } = setUp()
  hear(running, live('b1'), { ...result('API Error'), is_error: true, api_error_status: 529 }, idle)
  const end = await turn
  assert.equal(end.kind === 'failed' && end.retry, 'later')
})

test('silence while the session works is a stall; every message puts it off', async () => {
  const { turn, isOver, hear, clock } = setUp()
  hear(running)
  clock.advance(stallMs - 1)
  hear({ type: 'something_new' })
  clock.advance(stallMs - 1)
  assert.equal(await isOver(), false)
  clock.advance(1)
  const end = await turn
  assert.equal(end.kind === 'failed' && end.reason, 'stalled')
})

test('silence that the CLI announced is no stall', async () => {
  const { isOver, hear, clock } = setUp()
  hear(running, { type: 'system', subtype: 'api_retry', retry_delay_ms: 600_000 })
  clock.advance(600_000)
  assert.equal(await isOver(), false)
  clock.advance(stallMs)
  assert.equal(await isOver(), true)
})

test('the deadline ends a turn, also one that waits', async () => {
  const { turn, hear, clock } = setUp()
  hear(running, live('b1'), result('Moved.'), idle)
  clock.advance(deadlineMs)
  const end = await turn
  assert.equal(end.kind === 'failed' && end.reason, 'timed_out')
})

test('a turn is not over while something that was said in it is unread', async () => {
  const { turn, turns, isOver, hear } = setUp()
  hear(running)
  turns.said('m1')
  turns.said('m2')
  hear(lifecycle('m1', 'queued'), result('Done.'), idle)
  assert.equal(await isOver(), false)
  hear(
    lifecycle('m1', 'started'),
    running,
    lifecycle('m1', 'completed'),
    result('That, too.'),
    idle,
  )
  assert.equal(await isOver(), false)
  hear(lifecycle('m2', 'refused'))
  assert.deepEqual(await turn, { kind: 'finished', text: 'That, too.' })
})

test('the first end wins', async () => {
  const { turn, turns } = setUp()
  turns.end({ kind: 'finished', text: 'first' })
  turns.end({ kind: 'finished', text: 'second' })
  assert.deepEqual(await turn, { kind: 'finished', text: 'first' })
})

test('a second turn needs a result of its own', async () => {
  const { turn, turns, hear } = setUp()
  hear(running, result('One.'), idle)
  await turn
  let isOver = false
  const second = turns.begin().finally(() => {
    isOver = true
  })
  assert.throws(() => turns.begin(), /open already/)
  hear(idle)
  await Promise.resolve()
  assert.equal(isOver, false)
  hear(running, result('Two.'), idle)
  assert.deepEqual(await second, { kind: 'finished', text: 'Two.' })
})

test('malformed messages change nothing', async () => {
  const { isOver, hear } = setUp()
  hear(null, 7, {}, { type: 'system' }, { type: 'system', subtype: 'background_tasks_changed' })
  hear({ type: 'assistant', message: { content: 'text' } }, { type: 'assistant' })
  assert.equal(await isOver(), false)
})

function setUp() {
  const clock = new ManualClock()
  const stopped: string[] = []
  const stopTask = async (id: string): Promise<void> => void stopped.push(id)
  const deadline = clock.now() + deadlineMs
  const turns = new Turns({ clock, stallMs, deadline, controls: { stopTask } })
  let over: TurnEnd | null = null
  const turn = turns.begin().then((end) => {
    over = end
    return end
  })
  return {
    clock,
    stopped,
    turns,
    turn,
    hear: (...messages: unknown[]): void => {
      for (const message of messages) turns.heard(message as SDKMessage)
    },
    /** Looks after everything that was due has run. */
    isOver: async (): Promise<boolean> => {
      for (let i = 0; i < 10; i += 1) await Promise.resolve()
      return over !== null
    },
  }
}

const state = (name: string) => ({ type: 'system', subtype: 'session_state_changed', state: name })
const running = state('running')
const idle = state('idle')

function lifecycle(uuid: string, name: string) {
  return { type: 'command_lifecycle', command_uuid: uuid, state: name }
}

function result(text: string) {
  return { type: 'result', subtype: 'success', is_error: false, result: text }
}

function call(id: string, input: object) {
  return { type: 'assistant', message: { content: [{ type: 'tool_use', id, input }] } }
}

function started(taskId: string, toolUseId: string) {
  return { type: 'system', subtype: 'task_started', task_id: taskId, tool_use_id: toolUseId }
}

function live(taskId?: string, type = 'local_bash') {
  const tasks = taskId === undefined ? [] : [{ task_id: taskId, task_type: type }]
  return { type: 'system', subtype: 'background_tasks_changed', tasks }
}

function ambient(taskId: string) {
  const tasks = [{ task_id: taskId, task_type: 'monitor', ambient: true }]
  return { type: 'system', subtype: 'background_tasks_changed', tasks }
}

function notification(taskId: string) {
  return { type: 'system', subtype: 'task_notification', task_id: taskId, status: 'completed' }
}
