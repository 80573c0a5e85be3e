/** What a schedule remembers of its times. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ScheduleFire } from '@longhaul/client/contract'
import { ManualClock } from '../support/manual-clock.ts'
import { openTestApp, order } from './fixture.ts'

const minuteMs = 60_000

test('a task that goes on for more than a thousand times of its schedule still counts, and so does what waits', async () => {
  const clock = new ManualClock(Date.parse('2026-11-29T10:00:30Z'))
  await using server = await openTestApp({ clock })
  const fires = async (id: string): Promise<ScheduleFire[]> => {
    const answer = await server.send('GET', `/v1/schedules/${id}/fires?limit=100`)
    return JSON.parse(await answer.text()).data
  }
  const made = async (overlap: string): Promise<string> => {
    const body = { name: overlap, cron: '* * * * *', overlap, order }
    const answer = await server.send('POST', '/v1/schedules', { body })
    assert.equal(answer.status, 201, await answer.clone().text())
    return JSON.parse(await answer.text()).id
  }
  const fireMinute = async (): Promise<void> => {
    clock.advance(minuteMs)
    await server.fireDue()
  }
  const [skip, queue] = [await made('skip'), await made('queue')]
  await fireMinute()
  await fireMinute()
  const states = async (id: string) => (await fires(id)).map(({ state }) => state)
  assert.deepEqual(await states(skip), ['skipped', 'ordered'])
  assert.deepEqual(await states(queue), ['waiting', 'ordered'])

  // More than are kept, between the two and what comes.
  await server.store.pool.query(
    `insert into schedule_fires (schedule_id, scheduled_at, is_manual, fired_at, state)
     select id, $2::timestamptz + n * interval '1 millisecond', false, $2, 'skipped'
     from unnest($1::text[]) as id, generate_series(1, 1200) as n`,
    [[skip, queue], new Date(clock.now())],
  )
  await fireMinute()
  assert.equal((await states(skip))[0], 'skipped')
  assert.equal((await states(queue))[0], 'waiting')
  const { rows } = await server.store.pool.query(
    `select schedule_id as id, count(*)::int as all,
       count(*) filter (where state = 'ordered')::int as ordered,
       count(*) filter (where state = 'waiting')::int as waiting
     from schedule_fires group by schedule_id order by count(*)`,
  )
  assert.deepEqual(rows, [
    { id: skip, all: 1001, ordered: 1, waiting: 0 },
    { id: queue, all: 1002, ordered: 1, waiting: 2 },
  ])
})
