/** Schedules: what one orders, how it is changed, fired by hand and deleted, and what is none. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Schedule, ScheduleFire, Scope, Task } from '@longhaul/client/contract'
import { createKey } from '../../src/http/first-key.ts'
import { order } from './fixture.ts'
import { hourly, minuteMs, openSchedules, type ScheduleStage, states } from './schedule-stage.ts'

let stage: ScheduleStage
before(async () => {
  stage = await openSchedules()
})
after(() => stage[Symbol.asyncDispose]())
beforeEach(() => stage.clear())

test('at its time it orders one task, whoever looks and however often', async () => {
  const { id } = await stage.schedule(hourly)
  await stage.server.fireDue()
  assert.deepEqual(await stage.fires(id), [])
  stage.clock.advance(30 * minuteMs)
  await Promise.all(Array.from({ length: 8 }, () => stage.server.fireDue()))
  const [fire, ...more] = await stage.fires(id)
  assert.deepEqual(more, [])
  assert.equal(fire?.state, 'ordered')
  assert.equal(fire?.scheduled_at, new Date(stage.clock.now()).toISOString())
  const task = await stage.server.ask<Task>(200, 'GET', `/v1/tasks/${fire?.task_id}`)
  assert.equal(task.reason, 'queued')
  assert.equal(task.instructions, order.instructions)
  const { next_fires: next } = await stage.server.ask<Schedule>(200, 'GET', `/v1/schedules/${id}`)
  assert.equal(next[0], new Date(stage.clock.now() + 60 * minuteMs).toISOString())
})

test('a new name loses no time: neither one that jitter holds back nor those that are due', async () => {
  const held = await stage.schedule({ ...hourly, jitter_seconds: 1800 })
  stage.toTheHour()
  for (let n = 0; n < 31; n += 1) {
    await stage.change(held.id, { name: `held ${n}` })
    await stage.later(minuteMs)
  }
  assert.deepEqual(states(await stage.fires(held.id)), ['ordered'])
  const due = await stage.schedule({ ...hourly, catch_up: 'all', overlap: 'cancel_previous' })
  stage.clock.advance(180 * minuteMs)
  await stage.change(due.id, { name: 'renamed' })
  await stage.server.fireDue()
  assert.deepEqual(states(await stage.fires(due.id)), ['ordered', 'ordered', 'ordered'])
})

test('another timetable fires first what came by the old one, and a pause writes it down', async () => {
  const policies = { catch_up: 'all', overlap: 'cancel_previous', jitter_seconds: 1800 }
  for (const [body, state] of [
    [{ cron: '30 3 * * *' }, 'ordered'],
    [{ time_zone: 'Europe/Berlin' }, 'ordered'],
    [{ jitter_seconds: 0 }, 'ordered'],
    [{ paused: true }, 'missed'],
  ] as const) {
    const { id } = await stage.schedule({ ...hourly, ...policies })
    stage.toTheHour()
    stage.clock.advance(60 * minuteMs)
    await stage.change(id, body)
    assert.deepEqual(states(await stage.fires(id)), [state, state], JSON.stringify(body))
    await stage.server.fireDue()
    assert.equal((await stage.fires(id)).length, 2)
    await stage.server.send('DELETE', `/v1/schedules/${id}`)
  }
})

test('a pause forgets what comes meanwhile, and a change takes effect at once', async () => {
  const { id } = await stage.schedule(hourly)
  await stage.change(id, { paused: true })
  await stage.later(180 * minuteMs)
  const going = await stage.change(id, { paused: false, cron: '15 * * * *' })
  assert.ok(going.next_fires[0]?.endsWith(':15:00.000Z'))
  await stage.server.fireDue()
  assert.deepEqual(await stage.fires(id), [])
  await stage.later(60 * minuteMs)
  assert.deepEqual(states(await stage.fires(id)), ['ordered'])
})

test('it is fired by hand at any time, once for each key, and that is told apart', async () => {
  const { id } = await stage.schedule({ ...hourly, paused: true })
  const headers = { 'idempotency-key': 'by-hand' }
  const fire = async () =>
    stage.server.ask<ScheduleFire>(201, 'POST', `/v1/schedules/${id}/fire`, { headers })
  const first = await fire()
  assert.equal(first.is_manual, true)
  assert.deepEqual(await fire(), first)
  assert.equal((await stage.fires(id)).length, 1)
})

test('an order that is not taken any more, or a revoked key, is refused in its history', async () => {
  const key = await stage.server.ask<{ id: string; key: string }>(201, 'POST', '/v1/keys', {
    body: { name: 'leaver', scopes: ['tasks:write'] },
  })
  const { id } = await stage.schedule({ ...hourly, name: 'theirs' }, { key: key.key })
  await stage.server.send('POST', `/v1/keys/${key.id}/revoke`)
  await stage.later(60 * minuteMs)
  const [fire] = await stage.fires(id)
  assert.equal(fire?.state, 'refused')
  assert.match(fire?.message ?? '', /key .* was revoked/)
})

test('a key that may order less does not order more by another key’s schedule', async () => {
  const scopes: Scope[] = ['tasks:read', 'tasks:write']
  const { server, clock } = stage
  const key = await createKey({ store: server.store, clock }, { name: 'less', scopes })
  const { id, created_by: maker } = await stage.schedule(hourly)
  const change = (status: number, body: object) =>
    server.ask<Schedule>(status, 'POST', `/v1/schedules/${id}`, { key, body })
  await change(400, { order: { ...order, sandbox: { networking: { type: 'unrestricted' } } } })
  const renamed = await change(200, { name: 'mine' })
  assert.equal(renamed.created_by, maker)
  const rewritten = await change(200, { order })
  assert.notEqual(rewritten.created_by, maker)
  await stage.later(60 * minuteMs)
  const [fire] = await stage.fires(id)
  const task = await server.ask<Task>(200, 'GET', `/v1/tasks/${fire?.task_id}`)
  assert.equal(task.created_by, rewritten.created_by)
})

test('a deleted schedule fires no more, and its tasks stay', async () => {
  const { id } = await stage.schedule(hourly)
  await stage.later(60 * minuteMs)
  const [fire] = await stage.fires(id)
  await stage.server.ask(200, 'DELETE', `/v1/schedules/${id}`)
  await stage.later(60 * minuteMs)
  assert.equal((await stage.server.send('GET', `/v1/schedules/${id}`)).status, 404)
  assert.equal((await stage.server.send('GET', `/v1/tasks/${fire?.task_id}`)).status, 200)
})

const bad: readonly (readonly [what: string, body: object, says: RegExp])[] = [
  ['no expression', {}, /cron/],
  ['six fields', { cron: '0 0 * * * *' }, /cron: expected a cron expression of five fields/],
  ['minute 61', { cron: '61 * * * *' }, /cron: .*minute: 61/],
  ['a day that never comes', { cron: '0 0 30 2 *' }, /never does/],
  ['a start of the machine', { cron: '@reboot' }, /cron: expected/],
  [
    'a time zone of another planet',
    { ...hourly, time_zone: 'Mars/Olympus' },
    /time_zone: expected/,
  ],
  ['another overlap', { ...hourly, overlap: 'both' }, /overlap/],
  ['a jitter of a day', { ...hourly, jitter_seconds: 86_400 }, /jitter_seconds/],
  ['an order without a repository', { ...hourly, order: { type: 'custom' } }, /order\.repo_url/],
  [
    'a start time',
    { ...hourly, order: { ...order, start_at: '2027-01-01T00:00:00Z' } },
    /start_at/,
  ],
  [
    'an agent that is not there',
    { ...hourly, order: { ...order, agent: 'agent_00000000000000000000000000' } },
    /agent_0/,
  ],
]
for (const [what, body, says] of bad)
  test(`a schedule with ${what} is refused with a sentence`, async () => {
    const answer = await stage.server.send('POST', '/v1/schedules', {
      body: { name: 'bad', order, ...body },
    })
    assert.equal(answer.status, 400)
    assert.match(await answer.text(), says)
    const { data } = await stage.server.ask<{ data: Schedule[] }>(200, 'GET', '/v1/schedules')
    assert.ok(data.every(({ name }) => name !== 'bad'))
  })
