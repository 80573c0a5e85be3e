/** When a schedule fires, and what it does with the times that nobody was there for. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { hourly, minuteMs, openSchedules, type ScheduleStage, states } from './schedule-stage.ts'

let stage: ScheduleStage
before(async () => {
  stage = await openSchedules()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(() => stage.clear())

test('a schedule says when it fires next, in its time zone and over the change of clocks', async () => {
  const berlin = await stage.schedule({ cron: '30 2 * * *', time_zone: 'Europe/Berlin' })
  assert.deepEqual(berlin.next_fires, [
    '2026-10-23T00:30:00.000Z',
    '2026-10-24T00:30:00.000Z',
    // The hour from two to three comes twice in this night; it fires in the first one.
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
    '2026-10-27T01:30:00.000Z',
  ])
  assert.deepEqual((await stage.schedule({ ...hourly, paused: true })).next_fires, [])
})

test('jitter delays each time by less than it says, the same on every node', async () => {
  const { id } = await stage.schedule({ ...hourly, jitter_seconds: 1800 })
  const hour = Math.ceil((stage.clock.now() + 1) / (60 * minuteMs)) * 60 * minuteMs
  stage.clock.advance(hour - stage.clock.now())
  let waited = 0
  for (; (await stage.fires(id)).length === 0; waited += 1) {
    assert.ok(waited < 30, 'it never came')
    await stage.later(minuteMs)
  }
  const [fire] = await stage.fires(id)
  assert.equal(fire?.state, 'ordered')
  assert.equal(fire?.scheduled_at, new Date(hour).toISOString())
})

test('while a server is there no time is missed, however its jitter mixes it with others', async () => {
  const busy = { cron: '*/5 * * * *', jitter_seconds: 900, catch_up: 'none', overlap: 'skip' }
  const { id } = await stage.schedule(busy)
  for (let n = 0; n < 240; n += 1) await stage.later(minuteMs / 2)
  const all = await stage.fires(id)
  assert.ok(all.length > 20, String(all.length))
  const lateMs = all.map((fire) => Date.parse(fire.fired_at) - Date.parse(fire.scheduled_at))
  assert.ok(Math.max(...lateMs) <= 15.5 * minuteMs)
  assert.deepEqual(new Set(states(all)), new Set(['ordered', 'skipped']))
})

for (const [catchUp, expected] of [
  ['none', ['missed', 'missed', 'missed']],
  ['last', ['missed', 'missed', 'ordered']],
  ['all', ['ordered', 'ordered', 'ordered']],
] as const)
  test(`three times that nobody was there for, caught up as ${catchUp}, are ${expected.join(', ')}`, async () => {
    const { id } = await stage.schedule({
      ...hourly,
      catch_up: catchUp,
      overlap: 'cancel_previous',
    })
    const first = Math.ceil((stage.clock.now() + 1) / (60 * minuteMs)) * 60 * minuteMs
    // Ten minutes after the third one: it is missed as well.
    await stage.later(first - stage.clock.now() + 130 * minuteMs)
    const all = (await stage.fires(id)).toReversed()
    assert.deepEqual(states(all), expected)
    // Of those that are ordered each cancels the one before: the last one goes on.
    const reasons = await Promise.all(
      all.flatMap(({ task_id: task }) => task ?? []).map(stage.reasonOf),
    )
    const ordered = expected.filter((state) => state === 'ordered')
    assert.deepEqual(
      reasons,
      ordered.map((_, n) => (n < ordered.length - 1 ? 'cancelled' : 'queued')),
    )
    // Nothing of it comes twice.
    await stage.server.fireDue()
    assert.equal((await stage.fires(id)).length, 3)
  })

test('after a long time away at most a hundred times are written down', async () => {
  const { id } = await stage.schedule({ cron: '* * * * *', catch_up: 'last' })
  await stage.later(7 * 24 * 60 * minuteMs)
  const all = await stage.fires(id)
  assert.equal(all.length, 100)
  assert.equal(all.filter(({ state }) => state === 'ordered').length, 1)
})

test('a date that is set forward is caught up by the policy, and set back it fires nothing twice', async () => {
  const policy = { catch_up: 'last', overlap: 'cancel_previous' }
  const { id } = await stage.schedule({ ...hourly, ...policy })
  stage.clock.step(24 * 60 * minuteMs)
  await stage.server.fireDue()
  const caughtUp = await stage.fires(id)
  const [last] = caughtUp
  assert.deepEqual(states(caughtUp).toSorted(), [...Array(23).fill('missed'), 'ordered'])
  assert.equal(last?.state, 'ordered')
  stage.clock.step(-60 * minuteMs)
  await stage.server.fireDue()
  const next = Date.parse(last?.scheduled_at ?? '') + 60 * minuteMs
  await stage.later(next - 1 - stage.clock.now())
  assert.equal((await stage.fires(id)).length, 24)
  await stage.later(1)
  const after = await stage.fires(id)
  assert.deepEqual(
    [after.length, after[0]?.state, after[0]?.scheduled_at],
    [25, 'ordered', new Date(next).toISOString()],
  )
})
