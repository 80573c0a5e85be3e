import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { type Scenario, say, script, use, when } from '@longhaul/testing'
import type { Store } from '../../src/store/open.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { type Stage, setStage, testProfile } from './stage.ts'

let postgres: TestPostgres
let store: Store
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
})
after(async () => {
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

const stageOf = (...scenarios: Scenario[]): Promise<Stage> =>
  setStage({ store, kind: 'none', scenarios })
const sleep = use('Bash', { command: 'touch started; exec /bin/sleep 600' })

for (const [status, reason] of [
  [400, 'agent_error'],
  [403, 'model_rejected'],
] as const) {
  test(`a model that answers ${status} ends the turn as ${reason}, not to be tried again`, async () => {
    const fault = { kind: 'status', status, times: Number.POSITIVE_INFINITY } as const
    await using stage = await stageOf(script(when('work', say('', { fault }))))
    const sandbox = await stage.sandbox()
    await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })
    const end = await agent.turn('work')
    assert.ok(end.kind === 'failed')
    assert.deepEqual([end.reason, end.retry], [reason, 'never'])
    assert.deepEqual(
      stage.events.slice(-2).map(({ type }) => type),
      ['session.error', 'session.status_idle'],
    )
    assert.deepEqual(stage.said('agent.message'), [])
  })
}

test('a model that is overloaded once is asked again, and the log says so', async () => {
  const fault = { kind: 'status', status: 529 } as const
  await using stage = await stageOf(script(when('work', say('Worked.', { fault }))))
  const sandbox = await stage.sandbox()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  assert.deepEqual(await agent.turn('work'), { kind: 'finished', text: 'Worked.' })
  assert.deepEqual(
    stage.events.map(({ type }) => type),
    [
      'session.status_running',
      'span.model_request_start',
      'session.error',
      'session.status_rescheduled',
      'session.status_running',
      'agent.message',
      'span.model_request_end',
      'session.status_idle',
    ],
  )
})

test('an agent that used all its turns says so', async () => {
  await using stage = await stageOf(
    script(when('work', use('Bash', { command: 'echo 1' }), use('Bash', { command: 'echo 2' }))),
  )
  const sandbox = await stage.sandbox()
  const profile = { ...testProfile, tools: ['Bash'], maxTurns: 1 }
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript(), profile })
  const end = await agent.turn('work')
  assert.equal(end.kind === 'failed' && end.reason, 'turns_exhausted')
})

test('an interrupted turn ends as cancelled, and the agent takes another one', async () => {
  await using stage = await stageOf(script(when('work', sleep), when('again', say('Again.'))))
  const sandbox = await stage.sandbox()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  const ended = agent.turn('work')
  await toolRuns(stage)
  await agent.interrupt()
  const end = await ended
  assert.equal(end.kind === 'failed' && end.reason, 'cancelled')
  assert.deepEqual(await agent.turn('again'), { kind: 'finished', text: 'Again.' })
})

test('a model that hangs is a stall once the clock says so, and the process is gone', async () => {
  const fault = { kind: 'hang', where: 'headers' } as const
  await using stage = await stageOf(script(when('work', say('', { fault }))))
  const sandbox = await stage.sandbox()
  const clock = new ManualClock()
  const transcript = await stage.transcript()
  await using agent = await stage.open({ sandbox, transcript, clock, stallMs: 420_000 })
  const ended = agent.turn('work')
  await stage.model.waitFor(({ kind }) => kind === 'turn', 60_000)
  // The last that the process says before it waits: whatever is heard later would put the stall off.
  const isAsking = () => stage.events.some(({ type }) => type === 'span.model_request_start')
  await until('the request to be heard of', isAsking)
  clock.advance(420_000)
  const end = await ended
  assert.ok(end.kind === 'failed')
  assert.deepEqual([end.reason, end.retry], ['stalled', 'never'])
  assert.equal(await processes(stage), 0)
})

test('a turn that reaches the deadline ends as timed out', async () => {
  await using stage = await stageOf(script(when('work', sleep)))
  const sandbox = await stage.sandbox()
  const clock = new ManualClock()
  const deadline = clock.elapsed() + 60_000
  const transcript = await stage.transcript()
  await using agent = await stage.open({ sandbox, transcript, clock, deadline })
  const ended = agent.turn('work')
  await toolRuns(stage)
  clock.advance(60_000)
  const end = await ended
  assert.equal(end.kind === 'failed' && end.reason, 'timed_out')
})

test('closing in the middle of a command leaves no process within five seconds', async () => {
  await using stage = await stageOf(script(when('work', sleep)))
  const sandbox = await stage.sandbox()
  const agent = await stage.open({ sandbox, transcript: await stage.transcript() })
  const ended = agent.turn('work')
  await toolRuns(stage)
  const from = performance.now()
  await agent.close()
  assert.ok(performance.now() - from < 5000)
  assert.equal(await processes(stage), 0)
  const end = await ended
  assert.equal(end.kind === 'failed' && end.reason, 'cancelled')
})

test('an aborted signal closes the agent', async () => {
  await using stage = await stageOf(script(when('work', sleep)))
  const sandbox = await stage.sandbox()
  const { signal, abort } = abortable()
  await using agent = await stage.open({ sandbox, transcript: await stage.transcript(), signal })
  const ended = agent.turn('work')
  await toolRuns(stage)
  abort()
  const end = await ended
  assert.equal(end.kind === 'failed' && end.reason, 'cancelled')
  await until('the process is gone', async () => (await processes(stage)) === 0)
})

function abortable(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(new Error('over')) }
}

/** The command of a scripted Bash call has been started. */
async function toolRuns(stage: Stage): Promise<void> {
  await until('a tool is called', () => stage.events.some(({ type }) => type === 'agent.tool_use'))
  await until('its command runs', async () => (await processes(stage)) > 1)
}

/** Processes of the session: without walls, each has a variable that names its directory. */
async function processes({ sessionId }: Stage): Promise<number> {
  let count = 0
  for (const pid of await readdir('/proc')) {
    const environ = /^\d+$/.test(pid) ? await read(`/proc/${pid}/environ`) : ''
    if (
      environ
        .split('\0')
        .some((line) => /^LONGHAUL_SANDBOX=/.test(line) && line.endsWith(sessionId))
    ) {
      count += 1
    }
  }
  return count
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return '' // It ended meanwhile.
  }
}
