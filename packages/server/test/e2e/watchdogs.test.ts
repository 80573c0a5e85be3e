/** What hangs, falls silent or jumps: each ends in a recovery or a reason, and is in the log. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import type { Ordered } from '../support/ordered.ts'
import type { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, mend, type World } from '../support/world.ts'

const minuteMs = 60_000
const hold = 'touch .git/held; until test -e .git/go; do sleep 0.1; done; '
const scenario = script(
  when(
    'Pause',
    use('Bash', { command: mend }, { fault: { kind: 'hang', where: 'stream' } }),
    say('Mended.'),
  ),
  when('Hold', use('Bash', { command: hold + mend, timeout: 300_000 }), say('Mended.')),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

let world: World
let server: ServerApi
let clock: JumpClock
before(async () => {
  world = await makeWorld([scenario])
  clock = new JumpClock()
  server = await world.startInProcess(clock)
})
after(() => world[Symbol.asyncDispose]())

function order(instructions: string, more: object = {}): Promise<Ordered> {
  return world.order(server, { instructions, ...more })
}

async function alertsOf(id: string) {
  const events = await server.events(id)
  assertWholeLog(events)
  return events
    .filter(({ type }) => type === 'task.alert')
    .map(({ name, message }) => ({ name, message }))
}

test('a model whose stream falls silent is cut off, asked again, and the task is done', async () => {
  const { id } = await order('Pause.')
  await world.model.waitFor(({ kind }) => kind === 'turn', 4 * minuteMs)
  clock.jump(181_000)
  assert.equal((await server.ended(id)).reason, 'done')
  const [alert, ...more] = await alertsOf(id)
  assert.deepEqual([alert?.name, more], ['model_silent', []])
  assert.match(String(alert?.message), /^The model.* s\. The agent asks again\.$/)
})

test('a check that hangs ends with the task’s time, and the log names it', async () => {
  const { id, marked } = await order('Mend.', { checks: ['touch .git/hangs; sleep 600'] })
  await marked('hangs')
  clock.jump(24 * 60 * minuteMs)
  assert.equal((await server.ended(id)).reason, 'timed_out')
  const [alert, ...more] = await alertsOf(id)
  assert.deepEqual([alert?.name, more], ['command_hung', []])
  assert.match(
    String(alert?.message),
    /^"touch .git\/hangs; sleep 600" ran until the task’s time was up/,
  )
})

test('a date that is set takes no time from a task, and its log says so', async () => {
  const { id, mark, marked } = await order('Hold.', { timeLimitMinutes: 10 })
  await marked('held')
  const said = async (count: number) =>
    until(
      'the alert',
      async () =>
        (await server.events(id)).filter(({ type }) => type === 'task.alert').length === count,
      minuteMs,
    )
  clock.step(3 * 60 * minuteMs)
  await said(1)
  await until('the server’s own alert', async () => {
    const { alerts } = await server.get<{ alerts: { name: string }[] }>('/health')
    return alerts.some(({ name }) => name === 'clock_jumped')
  })
  clock.step(-60 * minuteMs)
  await said(2)
  await writeFile(mark('go'), '')
  assert.equal((await server.ended(id)).reason, 'done')
  assert.deepEqual(
    (await alertsOf(id)).map(({ message }) => message),
    [
      'The server’s clock jumped 10800 s forward. The task’s time limit goes on as if it had not.',
      'The server’s clock jumped 3600 s back. The task’s time limit goes on as if it had not.',
    ],
  )
})
