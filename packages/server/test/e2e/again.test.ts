/** A task that waits for its time, fails, and is ordered again, edited. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Task } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import type { ServerApi } from '../support/server-api.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const hourMs = 3_600_000
const scenario = script(
  when('Mend the sum', use('Bash', { command: mend }), say('Mended.')),
  when('Look at', say('Nothing to do.')),
)

let world: World
let clock: JumpClock
let server: ServerApi
before(async () => {
  world = await makeWorld([scenario])
  clock = new JumpClock()
  server = await world.startInProcess(clock)
})
after(() => world[Symbol.asyncDispose]())

async function retry(id: string, body: object): Promise<Task> {
  const answer = await server.request(`/v1/tasks/${id}/retry`, {
    method: 'POST',
    headers: { 'idempotency-key': 'once' },
    body: JSON.stringify(body),
  })
  assert.equal(answer.status, 201)
  return JSON.parse(await answer.text())
}

test('a delayed task starts at its time and not before; what failed is edited, tried again and done', async () => {
  const repository = await world.repository('again', brokenSum)
  const { id } = await server.order({
    ...{ repoUrl: repository.url, instructions: 'Look at the sum.' },
    ...{ setup: ['echo no such registry; exit 1'], labels: ['nightly'] },
    startAt: clock.now() + 2 * hourMs,
  })
  clock.jump(hourMs)
  // Work that was ordered later is taken and done: the worker has looked at all there is.
  const now = await server.order({ repoUrl: repository.url, instructions: 'Look at it now.' })
  assert.equal((await server.ended(now.id)).reason, 'no_changes')
  const waiting = await server.task(id)
  assert.deepEqual([waiting.status, waiting.reason], ['pending', 'delayed'])
  clock.jump(hourMs)
  const failed = await server.ended(id)
  assert.deepEqual([failed.status, failed.reason], ['failed', 'setup_failed'])
  assert.equal(failed.started_at !== null && failed.started_at >= (failed.start_at ?? ''), true)
  assertWholeLog(await server.events(id))

  const edits = { instructions: 'Mend the sum.', setup: null, priority: 'high' }
  const made = await retry(id, edits)
  assert.deepEqual([made.retry_of, made.labels, made.setup], [id, ['nightly'], null])
  const done = await server.ended(made.id)
  assert.equal(done.reason, 'done', JSON.stringify(done.error))
  assert.equal(
    await repository.fileAt(done.result?.branch ?? '', 'sum.sh'),
    'echo $(( $1 + $2 ))\n',
  )
  assert.equal(repository.pullRequests.length, 1)
  assert.deepEqual(await retry(id, edits), made)

  assert.equal((await server.request(`/v1/tasks/${id}`, { method: 'DELETE' })).status, 200)
  assert.equal((await server.request(`/v1/tasks/${id}`)).status, 404)
  const list = await server.request('/v1/tasks?q=mend+su&label=nightly')
  const { data, total } = JSON.parse(await list.text())
  assert.deepEqual([total, data[0].id], [1, made.id])
})
