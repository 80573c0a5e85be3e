/** The date of a host is set while tasks wait for a quota. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QuotaWaits } from '../../src/runner/quota-waits.ts'
import { updateTask } from '../../src/store/tasks.ts'
import { openTestApp } from '../http/fixture.ts'
import { ManualClock } from '../support/manual-clock.ts'

test('a time to wait is moved along with the date, and a moment that the provider named is not', async () => {
  const clock = new ManualClock()
  await using server = await openTestApp({ clock })
  const { store } = server
  const { node } = store
  const wakeAt = new Date(clock.now() + 8 * 3_600_000)
  const parked = async (wakeIsDate: boolean): Promise<string> => {
    const { id } = await server.order()
    const waiting = { status: 'running', reason: 'waiting_quota' } as const
    await updateTask(store.db, id, { ...waiting, wakeAt, wakeIsDate })
    return id
  }
  const [relative, named] = [await parked(false), await parked(true)]
  await store.db.updateTable('sessions').set({ node }).execute()
  const waits = new QuotaWaits({ store, clock, node })
  // A laptop that sleeps from ten to eight.
  clock.step(10 * 3_600_000)
  await waits.follow()
  const wakes = async (id: string) =>
    (await store.db.selectFrom('tasks').select('wake_at').where('id', '=', id).execute())[0]
      ?.wake_at
  assert.deepEqual(await wakes(named), wakeAt)
  assert.deepEqual(await wakes(relative), new Date(wakeAt.getTime() + 10 * 3_600_000))
})
