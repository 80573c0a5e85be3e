import assert from 'node:assert/strict'
import { type Conversation, say, script, use, when } from '@longhaul/testing'
import { systemClock } from '../../src/clock.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import type { Store } from '../../src/store/open.ts'
import { until } from '../support/until.ts'
import { type Stage, setStage } from './stage.ts'

/** A stage for a conversation that is cut off in the middle of a command; shows what the model saw. */
export function setInterruptedStage(o: {
  readonly store: Store
  readonly kind: 'bubblewrap' | 'none'
  readonly seen: Conversation[]
}): Promise<Stage> {
  const look = (conversation: Conversation) => {
    o.seen.push(conversation)
    return undefined
  }
  const rules = script(
    when(
      'begin',
      use('Bash', { command: 'echo first' }),
      use('Bash', { command: 'exec /bin/sleep 600' }),
    ),
    when('the server restarted', use('Bash', { command: 'echo third' }), say('On.')),
    when('go on', say('Still on.')),
  )
  return setStage({ ...o, scenarios: [look, rules] })
}

/** A first attempt whose process dies in the middle of its second command. */
export async function cutOff(stage: Stage, sandbox: Sandbox): Promise<void> {
  const transcript = await stage.transcript()
  await using agent = await stage.open({ sandbox, transcript })
  const ended = agent.turn('begin')
  const calls = () => stage.events.filter(({ type }) => type === 'agent.tool_use')
  await until('the second command is called', () => calls().length === 2)
  const ids = calls().map((call) => String(call['tool_use_id']))
  await transcript.waitFor(ids, { timeoutMs: 60_000, clock: systemClock })
  await sandbox.killAll()
  const end = await ended
  assert.ok(end.kind === 'failed')
  assert.deepEqual([end.reason, end.retry], ['agent_error', 'later'])
  assert.match(end.message, /SIGKILL/)
}
