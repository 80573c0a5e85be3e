/** A schedule on a whole server: its time comes, and its task is worked on as any other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Schedule, ScheduleFire } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, mend } from '../support/world.ts'

test('what a schedule orders is done and published, once a time', async () => {
  await using world = await makeWorld([
    script(when('Mend the sum', use('Bash', { command: mend }), say('Mended.'))),
  ])
  const clock = new JumpClock()
  const server = await world.startInProcess(clock)
  const repository = await world.repository('sum', brokenSum)
  const { id, next_fires: nextFires } = await server.post<Schedule>('/v1/schedules', {
    ...{ name: 'hourly', cron: '@hourly' },
    order: {
      ...{ type: 'refactor', repo_url: repository.url, instructions: 'Mend the sum.' },
      priority: 'low',
    },
  })
  const fires = async () =>
    (await server.get<{ data: ScheduleFire[] }>(`/v1/schedules/${id}/fires`)).data
  // To the minute after it: the next one is an hour away, whatever the time is.
  clock.jump(Date.parse(nextFires[0] ?? '') + 60_000 - clock.now())
  await until('it to fire', async () => (await fires()).length > 0)
  const [fire] = await fires()
  assert.equal(fire?.state, 'ordered')
  const task = await server.ended(fire.task_id ?? '')
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assertWholeLog(await server.events(task.id))
  assert.equal(repository.pullRequests.length, 1)
  assert.equal((await fires()).length, 1)
})
