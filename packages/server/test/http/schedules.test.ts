/** Schedules: when they fire, what comes of it, and what they do with times that were missed. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Schedule, ScheduleFire, Scope, Task } from '@longhaul/client/contract'
import { createKey } from '../../src/http/first-key.ts'
import { readyToGoOn } from '../../src/store/schedule-fires.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openTestApp, order, type TestApp } from './fixture.ts'

const minuteMs = 60_000
/** A Thursday, half an hour before the hours that the schedules here name. */
const start = Date.parse('2026-10-22T11:30:00Z')

let server: TestApp
let clock: ManualClock
before(async () => {
  clock = new ManualClock(start)
  server = await openTestApp({ clock })
})
after(() => server[Symbol.asyncDispose]())

const made: string[] = []
beforeEach(async () => {
  // Those of the test before would go on firing.
  for (const id of made.splice(0)) await server.send('DELETE', `/v1/schedules/${id}`)
})

async function json<T>(answer: Response, status: number): Promise<T> {
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return JSON.parse(text) as T
}

async function schedule(more: object): Promise<Schedule> {
  const body = { name: 'nightly', order, ...more }
  const row = await json<Schedule>(await server.send('POST', '/v1/schedules', { body }), 201)
  made.push(row.id)
  return row
}

async function fires(id: string): Promise<ScheduleFire[]> {
  const answer = await server.send('GET', `/v1/schedules/${id}/fires?limit=100`)
  return (await json<{ data: ScheduleFire[] }>(answer, 200)).data
}

async function later(ms: number): Promise<void> {
  clock.advance(ms)
  await server.fireDue()
}

const states = (all: readonly ScheduleFire[]) => all.map(({ state }) => state)
const hourly = { cron: '0 * * * *' }

async function endTask(id: string | null | undefined): Promise<void> {
  await json(await server.send('POST', `/v1/tasks/${id}/cancel`), 200)
}

test('a schedule says when it fires next, in its time zone and over the change of clocks', async () => {
  const berlin = await schedule({ cron: '30 2 * * *', time_zone: 'Europe/Berlin' })
  assert.deepEqual(berlin.next_fires, [
    '2026-10-23T00:30:00.000Z',
    '2026-10-24T00:30:00.000Z',
    // The hour from two to three comes twice in this night; it fires in the first one.
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
    '2026-10-27T01:30:00.000Z',
  ])
  assert.deepEqual((await schedule({ ...hourly, paused: true })).next_fires, [])
})

async function reasonOf(task: string): Promise<string> {
  return (await json<Task>(await server.send('GET', `/v1/tasks/${task}`), 200)).reason
}

async function change(id: string, body: object): Promise<Schedule> {
  return json<Schedule>(await server.send('POST', `/v1/schedules/${id}`, { body }), 200)
}

/** To the next full hour. */
async function toTheHour(): Promise<void> {
  const hourMs = 60 * minuteMs
  clock.advance(Math.ceil((clock.now() + 1) / hourMs) * hourMs - clock.now())
}

test('at its time it orders one task, whoever looks and however often', async () => {
  const { id } = await schedule(hourly)
  await server.fireDue()
  assert.deepEqual(await fires(id), [])
  clock.advance(30 * minuteMs)
  await Promise.all(Array.from({ length: 8 }, () => server.fireDue()))
  const [fire, ...more] = await fires(id)
  assert.deepEqual(more, [])
  assert.equal(fire?.state, 'ordered')
  assert.equal(fire?.scheduled_at, new Date(clock.now()).toISOString())
  const task = await json<Task>(await server.send('GET', `/v1/tasks/${fire?.task_id}`), 200)
  assert.equal(task.reason, 'queued')
  assert.equal(task.instructions, order.instructions)
  const { next_fires: next } = await json<Schedule>(
    await server.send('GET', `/v1/schedules/${id}`),
    200,
  )
  assert.equal(next[0], new Date(clock.now() + 60 * minuteMs).toISOString())
})

test('while its last task goes on, one that skips orders no other', async () => {
  const { id } = await schedule({ ...hourly, overlap: 'skip' })
  for (let n = 0; n < 2; n += 1) await later(60 * minuteMs)
  const [second, first] = await fires(id)
  assert.equal(first?.state, 'ordered')
  assert.equal(second?.state, 'skipped')
  assert.match(second?.message ?? '', new RegExp(`${first?.task_id} still goes on`))
  await endTask(first?.task_id)
  await later(60 * minuteMs)
  assert.equal((await fires(id))[0]?.state, 'ordered')
})

test('one that queues orders the next task when the one before has ended, ten at most', async () => {
  const { id } = await schedule({ ...hourly, overlap: 'queue' })
  for (let n = 0; n < 12; n += 1) await later(60 * minuteMs)
  const all = (await fires(id)).toReversed()
  assert.deepEqual(states(all), [
    'ordered',
    ...Array.from({ length: 10 }, () => 'waiting'),
    'skipped',
  ])
  await endTask(all[0]?.task_id)
  await server.fireDue()
  await server.fireDue()
  const now = (await fires(id)).toReversed()
  assert.deepEqual(states(now).slice(0, 3), ['ordered', 'ordered', 'waiting'])
})

test('one that cannot go on keeps no other from it', async () => {
  const both = [
    await schedule({ ...hourly, overlap: 'queue' }),
    await schedule({ ...hourly, overlap: 'queue' }),
  ]
  for (let n = 0; n < 2; n += 1) await later(60 * minuteMs)
  for (const { id } of both) await endTask((await fires(id)).at(-1)?.task_id)
  const [broken = '', sound = ''] = await readyToGoOn(server.store.db, 10)
  // The one that is looked at first, whatever it is that it cannot do.
  await server.store.pool.query(
    `alter table schedule_fires add constraint none check (
      schedule_id <> '${broken}' or state <> 'ordered') not valid`,
  )
  await server.fireDue()
  assert.deepEqual(states(await fires(broken)), ['waiting', 'ordered'])
  assert.deepEqual(states(await fires(sound)), ['ordered', 'ordered'])
  await server.store.pool.query('alter table schedule_fires drop constraint none')
})

test('one that cancels ends the task before, and orders its own', async () => {
  const { id } = await schedule({ ...hourly, overlap: 'cancel_previous' })
  for (let n = 0; n < 2; n += 1) await later(60 * minuteMs)
  const [second, first] = await fires(id)
  assert.deepEqual([first?.state, second?.state], ['ordered', 'ordered'])
  const task = await json<Task>(await server.send('GET', `/v1/tasks/${first?.task_id}`), 200)
  assert.equal(task.reason, 'cancelled')
})

test('a node that is slower than another never cancels what that one has ordered', async () => {
  const { id } = await schedule({ ...hourly, overlap: 'cancel_previous' })
  await toTheHour()
  const read = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  // What the slower one reads of what is due comes to it when the other is done.
  const db = server.store.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      read.resolve()
      await goOn.promise
      return result
    },
  })
  const slower = server.fireDue({ store: Object.create(server.store, { db: { value: db } }) })
  await read.promise
  await server.fireDue()
  goOn.resolve()
  await slower
  const [fire, ...more] = await fires(id)
  assert.deepEqual(more, [])
  assert.equal(await reasonOf(fire?.task_id ?? ''), 'queued')
})

for (const [catchUp, expected] of [
  ['none', ['missed', 'missed', 'missed']],
  ['last', ['missed', 'missed', 'ordered']],
  ['all', ['ordered', 'ordered', 'ordered']],
] as const)
  test(`three times that nobody was there for, caught up as ${catchUp}, are ${expected.join(', ')}`, async () => {
    const { id } = await schedule({ ...hourly, catch_up: catchUp, overlap: 'cancel_previous' })
    const first = Math.ceil((clock.now() + 1) / (60 * minuteMs)) * 60 * minuteMs
    // Ten minutes after the third one: it is missed as well.
    await later(first - clock.now() + 130 * minuteMs)
    const all = (await fires(id)).toReversed()
    assert.deepEqual(states(all), expected)
    // Of those that are ordered each cancels the one before: the last one goes on.
    const reasons = await Promise.all(all.flatMap(({ task_id: task }) => task ?? []).map(reasonOf))
    const ordered = expected.filter((state) => state === 'ordered')
    assert.deepEqual(
      reasons,
      ordered.map((_, n) => (n < ordered.length - 1 ? 'cancelled' : 'queued')),
    )
    // Nothing of it comes twice.
    await server.fireDue()
    assert.equal((await fires(id)).length, 3)
  })

test('after a long time away at most a hundred times are written down', async () => {
  const { id } = await schedule({ cron: '* * * * *', catch_up: 'last' })
  await later(7 * 24 * 60 * minuteMs)
  const all = await fires(id)
  assert.equal(all.length, 100)
  assert.equal(all.filter(({ state }) => state === 'ordered').length, 1)
})

test('a date that is set forward is caught up by the policy, and set back it fires nothing twice', async () => {
  const policy = { catch_up: 'last', overlap: 'cancel_previous' }
  const { id } = await schedule({ ...hourly, ...policy })
  clock.step(24 * 60 * minuteMs)
  await server.fireDue()
  const caughtUp = await fires(id)
  const [last] = caughtUp
  assert.deepEqual(states(caughtUp).toSorted(), [...Array(23).fill('missed'), 'ordered'])
  assert.equal(last?.state, 'ordered')
  clock.step(-60 * minuteMs)
  await server.fireDue()
  const next = Date.parse(last?.scheduled_at ?? '') + 60 * minuteMs
  await later(next - 1 - clock.now())
  assert.equal((await fires(id)).length, 24)
  await later(1)
  const after = await fires(id)
  assert.deepEqual(
    [after.length, after[0]?.state, after[0]?.scheduled_at],
    [25, 'ordered', new Date(next).toISOString()],
  )
})

test('jitter delays each time by less than it says, the same on every node', async () => {
  const { id } = await schedule({ ...hourly, jitter_seconds: 1800 })
  const hour = Math.ceil((clock.now() + 1) / (60 * minuteMs)) * 60 * minuteMs
  clock.advance(hour - clock.now())
  let waited = 0
  for (; (await fires(id)).length === 0; waited += 1) {
    assert.ok(waited < 30, 'it never came')
    await later(minuteMs)
  }
  const [fire] = await fires(id)
  assert.equal(fire?.state, 'ordered')
  assert.equal(fire?.scheduled_at, new Date(hour).toISOString())
})

test('while a server is there no time is missed, however its jitter mixes it with others', async () => {
  const busy = { cron: '*/5 * * * *', jitter_seconds: 900, catch_up: 'none', overlap: 'skip' }
  const { id } = await schedule(busy)
  for (let n = 0; n < 240; n += 1) await later(minuteMs / 2)
  const all = await fires(id)
  assert.ok(all.length > 20, String(all.length))
  const lateMs = all.map((fire) => Date.parse(fire.fired_at) - Date.parse(fire.scheduled_at))
  assert.ok(Math.max(...lateMs) <= 15.5 * minuteMs)
  assert.deepEqual(new Set(states(all)), new Set(['ordered', 'skipped']))
})

test('a new name loses no time: neither one that jitter holds back nor those that are due', async () => {
  const held = await schedule({ ...hourly, jitter_seconds: 1800 })
  await toTheHour()
  for (let n = 0; n < 31; n += 1) {
    await change(held.id, { name: `held ${n}` })
    await later(minuteMs)
  }
  assert.deepEqual(states(await fires(held.id)), ['ordered'])
  const due = await schedule({ ...hourly, catch_up: 'all', overlap: 'cancel_previous' })
  clock.advance(180 * minuteMs)
  await change(due.id, { name: 'renamed' })
  await server.fireDue()
  assert.deepEqual(states(await fires(due.id)), ['ordered', 'ordered', 'ordered'])
})

test('another timetable fires first what came by the old one, and a pause writes it down', async () => {
  const policies = { catch_up: 'all', overlap: 'cancel_previous', jitter_seconds: 1800 }
  for (const [body, state] of [
    [{ cron: '30 3 * * *' }, 'ordered'],
    [{ time_zone: 'Europe/Berlin' }, 'ordered'],
    [{ jitter_seconds: 0 }, 'ordered'],
    [{ paused: true }, 'missed'],
  ] as const) {
    const { id } = await schedule({ ...hourly, ...policies })
    await toTheHour()
    clock.advance(60 * minuteMs)
    await change(id, body)
    assert.deepEqual(states(await fires(id)), [state, state], JSON.stringify(body))
    await server.fireDue()
    assert.equal((await fires(id)).length, 2)
    await server.send('DELETE', `/v1/schedules/${id}`)
  }
})

test('a pause forgets what comes meanwhile, and a change takes effect at once', async () => {
  const { id } = await schedule(hourly)
  await change(id, { paused: true })
  await later(180 * minuteMs)
  const going = await change(id, { paused: false, cron: '15 * * * *' })
  assert.ok(going.next_fires[0]?.endsWith(':15:00.000Z'))
  await server.fireDue()
  assert.deepEqual(await fires(id), [])
  await later(60 * minuteMs)
  assert.deepEqual(states(await fires(id)), ['ordered'])
})

test('it is fired by hand at any time, once for each key, and that is told apart', async () => {
  const { id } = await schedule({ ...hourly, paused: true })
  const headers = { 'idempotency-key': 'by-hand' }
  const fire = async () =>
    json<ScheduleFire>(await server.send('POST', `/v1/schedules/${id}/fire`, { headers }), 201)
  const first = await fire()
  assert.equal(first.is_manual, true)
  assert.deepEqual(await fire(), first)
  assert.equal((await fires(id)).length, 1)
})

test('an order that is not taken any more, or a revoked key, is refused in its history', async () => {
  const key = await json<{ id: string; key: string }>(
    await server.send('POST', '/v1/keys', { body: { name: 'leaver', scopes: ['tasks:write'] } }),
    201,
  )
  const headers = { authorization: `Bearer ${key.key}` }
  const answer = await server.send('POST', '/v1/schedules', {
    body: { name: 'theirs', order, ...hourly },
    headers,
  })
  const { id } = await json<Schedule>(answer, 201)
  made.push(id)
  await server.send('POST', `/v1/keys/${key.id}/revoke`)
  await later(60 * minuteMs)
  const [fire] = await fires(id)
  assert.equal(fire?.state, 'refused')
  assert.match(fire?.message ?? '', /key .* was revoked/)
})

test('a key that may order less does not order more by another key’s schedule', async () => {
  const scopes: Scope[] = ['tasks:read', 'tasks:write']
  const key = await createKey({ store: server.store, clock }, { name: 'less', scopes })
  const headers = { authorization: `Bearer ${key}` }
  const { id, created_by: maker } = await schedule(hourly)
  const change = (body: object) => server.send('POST', `/v1/schedules/${id}`, { headers, body })
  const wide = { ...order, sandbox: { networking: { type: 'unrestricted' } } }
  await json(await change({ order: wide }), 400)
  const renamed = await json<Schedule>(await change({ name: 'mine' }), 200)
  assert.equal(renamed.created_by, maker)
  const rewritten = await json<Schedule>(await change({ order }), 200)
  assert.notEqual(rewritten.created_by, maker)
  await later(60 * minuteMs)
  const [fire] = await fires(id)
  const task = await json<Task>(await server.send('GET', `/v1/tasks/${fire?.task_id}`), 200)
  assert.equal(task.created_by, rewritten.created_by)
})

test('a deleted schedule fires no more, and its tasks stay', async () => {
  const { id } = await schedule(hourly)
  await later(60 * minuteMs)
  const [fire] = await fires(id)
  await json(await server.send('DELETE', `/v1/schedules/${id}`), 200)
  await later(60 * minuteMs)
  assert.equal((await server.send('GET', `/v1/schedules/${id}`)).status, 404)
  assert.equal((await server.send('GET', `/v1/tasks/${fire?.task_id}`)).status, 200)
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
    const answer = await server.send('POST', '/v1/schedules', {
      body: { name: 'bad', order, ...body },
    })
    assert.equal(answer.status, 400)
    assert.match(await answer.text(), says)
    const { data } = await json<{ data: Schedule[] }>(
      await server.send('GET', '/v1/schedules'),
      200,
    )
    assert.ok(data.every(({ name }) => name !== 'bad'))
  })
