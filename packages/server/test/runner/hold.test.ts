import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import type { Lease } from '../../src/queue/work-queue.ts'
import { Ending } from '../../src/runner/ending.ts'
import { Hold } from '../../src/runner/hold.ts'
import { LeaseLost } from '../../src/store/lease-lost.ts'
import { JumpClock } from '../support/jump-clock.ts'

const lease: Lease = { workId: 'w', sessionId: 'sesn_1', attempt: 1, retryCount: 0 }

test('a lease that the store no longer has ends the attempt at the first look', async () => {
  const ending = new Ending()
  let isHeld = true
  const queue = { holds: async () => isHeld }
  const hold = new Hold({ queue, lease, ending, clock: systemClock })
  assert.equal(await hold.isHeld(), true)
  assert.equal(ending.cause, null)
  isHeld = false
  assert.equal(await hold.isHeld(), false)
  assert.deepEqual(ending.cause, { kind: 'lost' })
  // And it is not asked again: what is lost stays lost.
  isHeld = true
  await assert.rejects(hold.isHeld(), /the lease is lost/)
})

test('a store that does not answer leaves the attempt alone, and nothing may be done meanwhile', async () => {
  const ending = new Ending()
  const clock = new JumpClock()
  const queue = { holds: () => Promise.withResolvers<boolean>().promise }
  const asked = new Hold({ queue, lease, ending, clock }).isHeld()
  clock.jump(3000)
  await assert.rejects(asked, /asking for the lease took longer than 3000 ms/)
  assert.equal(ending.cause, null)
})

test('an answer from before the process was stopped does not count after it', async () => {
  const ending = new Ending()
  let now = 0
  const clock = { ...systemClock, now: () => now }
  const queue = {
    // Nothing of this process ran in between, its timers neither.
    holds: async () => {
      now += 20_000
      return true
    },
  }
  const hold = new Hold({ queue, lease, ending, clock })
  await assert.rejects(hold.isHeld(), /came too late/)
  assert.equal(ending.cause, null)
})

test('a credential is given out while the lease is held, and not after', async () => {
  const ending = new Ending()
  let isHeld = true
  const queue = { holds: async () => isHeld }
  const hold = new Hold({ queue, lease, ending, clock: systemClock })
  const guarded = hold.guard(async () => 'secret')
  const { signal } = new AbortController()
  assert.equal(await guarded(signal), 'secret')
  isHeld = false
  await assert.rejects(guarded(signal), LeaseLost)
})
