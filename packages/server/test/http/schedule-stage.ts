/** Schedules of a real app, with a clock that only the test moves. */
import type { Schedule, ScheduleFire, Task } from '@longhaul/client/contract'
import { ManualClock } from '../support/manual-clock.ts'
import { openTestApp, order, type TestApp } from './fixture.ts'

export const minuteMs = 60_000
export const hourly = { cron: '0 * * * *' }

/** A Thursday, half an hour before the hours that the schedules of the tests name. */
const start = Date.parse('2026-10-22T11:30:00Z')

export interface ScheduleStage extends AsyncDisposable {
  readonly server: TestApp
  readonly clock: ManualClock
  /** Makes one, by another key if that is named; what it does not say is its name and its order. */
  schedule(more: object, by?: { readonly key: string }): Promise<Schedule>
  change(id: string, body: object): Promise<Schedule>
  /** Its history, the last time first. */
  fires(id: string): Promise<ScheduleFire[]>
  /** Some time later: what is due by then is fired. */
  later(ms: number): Promise<void>
  /** To the next full hour, without firing. */
  toTheHour(): void
  reasonOf(task: string | null | undefined): Promise<string>
  endTask(id: string | null | undefined): Promise<void>
  /** Deletes the schedules that were made: they would go on firing. */
  clear(): Promise<void>
}

export async function openSchedules(): Promise<ScheduleStage> {
  const clock = new ManualClock(start)
  const server = await openTestApp({ clock })
  const made: string[] = []
  return {
    ...{ server, clock },
    async schedule(more, by) {
      const body = { name: 'nightly', order, ...more }
      const row = await server.ask<Schedule>(201, 'POST', '/v1/schedules', { body, ...by })
      made.push(row.id)
      return row
    },
    change: (id, body) => server.ask(200, 'POST', `/v1/schedules/${id}`, { body }),
    async fires(id) {
      const path = `/v1/schedules/${id}/fires?limit=100`
      return (await server.ask<{ data: ScheduleFire[] }>(200, 'GET', path)).data
    },
    async later(ms) {
      clock.advance(ms)
      await server.fireDue()
    },
    toTheHour() {
      const hourMs = 60 * minuteMs
      clock.advance(Math.ceil((clock.now() + 1) / hourMs) * hourMs - clock.now())
    },
    reasonOf: async (task) => (await server.ask<Task>(200, 'GET', `/v1/tasks/${task}`)).reason,
    async endTask(id) {
      await server.ask(200, 'POST', `/v1/tasks/${id}/cancel`)
    },
    async clear() {
      for (const id of made.splice(0)) await server.send('DELETE', `/v1/schedules/${id}`)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

export function states(all: readonly ScheduleFire[]): string[] {
  return all.map(({ state }) => state)
}
