/** Tasks that began, and wait since a crash behind others: their end does not wait with them. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import type { Ordered } from '../support/ordered.ts'
import type { ServerApi } from '../support/server-api.ts'
import { assertWholeLog, makeWorld, mend, type World } from '../support/world.ts'

const minuteMs = 60_000
const block = 'touch .git/blocked; sleep 300'
const scenario = script(
  when('Mend and wait', use('Bash', { command: mend }), use('Bash', { command: block }), say('.')),
)

let world: World
let clock: JumpClock
let server: ServerApi
/** Both mended something before the server was killed, and wait now. */
let toCancel: Ordered
let toTimeOut: Ordered
/** They took all the places. */
let others: Ordered[]
before(async () => {
  world = await makeWorld([scenario])
  const first = await world.start({ TASK_CONCURRENCY: '2' })
  toCancel = await order(first, 'one', { priority: 'low' })
  toTimeOut = await order(first, 'two', { priority: 'low', timeLimitMinutes: 90 })
  await Promise.all([toCancel, toTimeOut].map(({ marked }) => marked('blocked')))
  const urgent = { priority: 'high', timeLimitMinutes: 600, setup: [block] }
  others = [await order(first, 'three', urgent), await order(first, 'four', urgent)]
  await first.kill()
  clock = new JumpClock()
  server = await world.startInProcess(clock)
  await Promise.all(others.map(({ marked }) => marked('blocked')))
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

/** On the first of the two servers. */
function order(from: ServerApi, name: string, more: object): Promise<Ordered> {
  return world.order(from, { instructions: `Mend and wait, ${name}.`, ...more })
}

async function assertKept({ id, repository }: Ordered, reason: string): Promise<void> {
  const task = await server.ended(id)
  assert.deepEqual([task.status, task.reason], ['failed', reason])
  const kept = task.result?.branch ?? ''
  assert.match(kept, /-wip$/)
  assert.equal(await repository.fileAt(kept, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
  assertWholeLog(await server.events(id))
  for (const other of others) assert.equal((await server.task(other.id)).status, 'running')
}

test('cancelled while others take all the places, it ends beside them with its work kept', async () => {
  const answered = await server.cancel(toCancel.id)
  assert.equal(answered.completed_at, null)
  await assertKept(toCancel, 'cancelled')
  assert.equal((await server.task(toTimeOut.id)).status, 'running')
})

test('out of time while others take all the places, it ends beside them with its work kept', async () => {
  clock.jump(91 * minuteMs)
  await assertKept(toTimeOut, 'timed_out')
})
