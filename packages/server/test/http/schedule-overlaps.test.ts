/** What a schedule does at its time while the task of the time before still goes on. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { readyToGoOn } from '../../src/store/schedule-fires.ts'
import { hourly, minuteMs, openSchedules, type ScheduleStage, states } from './schedule-stage.ts'

let stage: ScheduleStage
before(async () => {
  stage = await openSchedules()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(() => stage.clear())

test('while its last task goes on, one that skips orders no other', async () => {
  const { id } = await stage.schedule({ ...hourly, overlap: 'skip' })
  for (let n = 0; n < 2; n += 1) await stage.later(60 * minuteMs)
  const [second, first] = await stage.fires(id)
  assert.equal(first?.state, 'ordered')
  assert.equal(second?.state, 'skipped')
  assert.match(second?.message ?? '', new RegExp(`${first?.task_id} still goes on`))
  await stage.endTask(first?.task_id)
  await stage.later(60 * minuteMs)
  assert.equal((await stage.fires(id))[0]?.state, 'ordered')
})

test('one that queues orders the next task when the one before has ended, ten at most', async () => {
  const { id } = await stage.schedule({ ...hourly, overlap: 'queue' })
  for (let n = 0; n < 12; n += 1) await stage.later(60 * minuteMs)
  const all = (await stage.fires(id)).toReversed()
  assert.deepEqual(states(all), [
    'ordered',
    ...Array.from({ length: 10 }, () => 'waiting'),
    'skipped',
  ])
  await stage.endTask(all[0]?.task_id)
  await stage.server.fireDue()
  await stage.server.fireDue()
  const now = (await stage.fires(id)).toReversed()
  assert.deepEqual(states(now).slice(0, 3), ['ordered', 'ordered', 'waiting'])
})

test('one that cannot go on keeps no other from it', async () => {
  const both = [
    await stage.schedule({ ...hourly, overlap: 'queue' }),
    await stage.schedule({ ...hourly, overlap: 'queue' }),
  ]
  for (let n = 0; n < 2; n += 1) await stage.later(60 * minuteMs)
  for (const { id } of both) await stage.endTask((await stage.fires(id)).at(-1)?.task_id)
  const [broken = '', sound = ''] = await readyToGoOn(stage.server.store.db, 10)
  // The one that is looked at first, whatever it is that it cannot do.
  await stage.server.store.pool.query(
    `alter table schedule_fires add constraint none check (
      schedule_id <> '${broken}' or state <> 'ordered') not valid`,
  )
  await stage.server.fireDue()
  assert.deepEqual(states(await stage.fires(broken)), ['waiting', 'ordered'])
  assert.deepEqual(states(await stage.fires(sound)), ['ordered', 'ordered'])
  await stage.server.store.pool.query('alter table schedule_fires drop constraint none')
})

test('one that cancels ends the task before, and orders its own', async () => {
  const { id } = await stage.schedule({ ...hourly, overlap: 'cancel_previous' })
  for (let n = 0; n < 2; n += 1) await stage.later(60 * minuteMs)
  const [second, first] = await stage.fires(id)
  assert.deepEqual([first?.state, second?.state], ['ordered', 'ordered'])
  assert.equal(await stage.reasonOf(first?.task_id), 'cancelled')
})

test('a node that is slower than another never cancels what that one has ordered', async () => {
  const { id } = await stage.schedule({ ...hourly, overlap: 'cancel_previous' })
  stage.toTheHour()
  const read = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  // What the slower one reads of what is due comes to it when the other is done.
  const db = stage.server.store.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      read.resolve()
      await goOn.promise
      return result
    },
  })
  const slower = stage.server.fireDue({
    store: Object.create(stage.server.store, { db: { value: db } }),
  })
  await read.promise
  await stage.server.fireDue()
  goOn.resolve()
  await slower
  const [fire, ...more] = await stage.fires(id)
  assert.deepEqual(more, [])
  assert.equal(await stage.reasonOf(fire?.task_id), 'queued')
})
