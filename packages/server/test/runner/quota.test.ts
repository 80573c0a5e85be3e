import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../../src/config.ts'
import { quotaCause } from '../../src/runner/quota.ts'
import { type Progress, progressOf } from '../../src/tasks/progress.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const { quotaWaitMsMax } = loadConfig({})

/** What comes of a provider that is back after `waitMs`; the progress of a task that waits. */
function wait(o: { progress: Progress; now: number; waitMs: number | null; max?: number }) {
  const { progress, now, waitMs, max = quotaWaitMsMax } = o
  const reset = waitMs === null ? null : now + waitMs
  const cause = quotaCause({ sessionId: 'sesn_1', progress, reset, now, waitMsMax: max })
  assert.ok(cause.kind === 'parked' || cause.kind === 'failed')
  if (cause.kind === 'failed') return { ...cause, until: Number.NaN, progress }
  const { until, progress: more } = cause.parking
  return { kind: cause.kind, until: until?.getTime() ?? 0, progress: { ...progress, ...more } }
}

test('windows of five hours are waited for as often as a task meets them', () => {
  let now = Date.UTC(2026, 10, 29)
  let progress = progressOf({})
  for (let n = 0; n < 10; n += 1) {
    const waited = wait({ progress, now, waitMs: 4.5 * hourMs })
    assert.equal(waited.kind, 'parked')
    assert.ok(waited.until - now - 4.5 * hourMs < 60_000)
    progress = waited.progress
    now = waited.until + 2 * hourMs
  }
})

test('waits are added up, and the work between them is not: the sum ends the task', () => {
  const max = 10 * hourMs
  let now = Date.UTC(2026, 10, 29)
  const first = wait({ progress: progressOf({}), now, waitMs: 4 * hourMs, max })
  now = first.until + 20 * hourMs
  const second = wait({ progress: first.progress, now, waitMs: 4 * hourMs, max })
  assert.equal(second.kind, 'parked')
  now = second.until
  const third = wait({ progress: second.progress, now, waitMs: 2.5 * hourMs, max })
  assert.equal(third.kind === 'failed' && third.reason, 'quota_exhausted')
})

test('a monthly limit is waited for by default, and one that is further away is not', () => {
  const now = Date.UTC(2026, 11, 1)
  assert.equal(wait({ progress: progressOf({}), now, waitMs: 31 * dayMs }).kind, 'parked')
  assert.equal(wait({ progress: progressOf({}), now, waitMs: 35 * dayMs }).kind, 'failed')
})

test('a provider that does not say is waited for longer each time, and that adds up as well', () => {
  let now = Date.UTC(2026, 10, 29)
  let progress = progressOf({})
  let waits = 0
  for (; waits < 2000; waits += 1) {
    const waited = wait({ progress, now, waitMs: null })
    if (waited.kind === 'failed') break
    now = waited.until
    progress = waited.progress
  }
  assert.ok(waits > 800 && waits < 850, `${waits}`)
})

test('the record of a task that waited before its server was updated is read', () => {
  const { quota } = progressOf({ quota: { since: 1, waits: 3 } })
  assert.deepEqual(quota, { waits: 3, waitedMs: 0 })
})
