import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  completedReason,
  failedReason,
  pendingReason,
  reason,
  reasons,
  runningReason,
} from '@longhaul/client/contract'
import fc from 'fast-check'
import { mayMove, type TaskState } from '../../src/tasks/machine.ts'

const states: readonly TaskState[] = [
  ...pendingReason.options.map((reason) => ({ status: 'pending', reason }) as const),
  ...runningReason.options.map((reason) => ({ status: 'running', reason }) as const),
  ...completedReason.options.map((reason) => ({ status: 'completed', reason }) as const),
  ...failedReason.options.map((reason) => ({ status: 'failed', reason }) as const),
]
const anyState = fc.constantFrom(...states)
const born: TaskState = { status: 'pending', reason: 'queued' }
const rank = { pending: 0, running: 1, completed: 2, failed: 2 } as const
const isEnded = ({ status }: TaskState): boolean => rank[status] === 2

/** Takes each wanted step that is allowed; the states that were passed through, in order. */
function walk(wanted: readonly TaskState[]): TaskState[] {
  const passed = [born]
  for (const to of wanted) {
    const from = passed.at(-1) ?? born
    if (mayMove(from, to)) passed.push(to)
  }
  return passed
}

const reopens = ({ status, reason }: TaskState): boolean =>
  status === 'pending' && reason === 'queued'

test('whatever is tried, a task goes back to pending only out of an end, to wait for a slot again', () => {
  fc.assert(
    fc.property(fc.array(anyState, { maxLength: 60 }), (wanted) => {
      const passed = walk(wanted)
      for (const [i, state] of passed.entries()) {
        const before = passed[i - 1]
        if (before === undefined) continue
        if (isEnded(before)) assert.ok(reopens(state))
        else assert.ok(rank[state.status] >= rank[before.status])
      }
    }),
    { numRuns: 2000 },
  )
})

test('whatever is tried, each end but the last was reopened, and each round runs before it completes', () => {
  fc.assert(
    fc.property(fc.array(anyState, { maxLength: 60 }), (wanted) => {
      const passed = walk(wanted)
      const ends = passed.flatMap((state, i) => (isEnded(state) ? [i] : []))
      const last = passed.length - 1
      for (const [n, at] of ends.entries()) {
        if (at < last) assert.ok(reopens(passed[at + 1] ?? born))
        const round = passed.slice(n === 0 ? 0 : (ends[n - 1] ?? 0) + 1, at)
        if (passed[at]?.status === 'completed')
          assert.ok(round.some(({ reason }) => reason === 'preparing'))
      }
    }),
    { numRuns: 2000 },
  )
})

test('an end moves nowhere but to the queue', () => {
  for (const from of states.filter(isEnded)) {
    for (const to of states) assert.equal(mayMove(from, to), reopens(to), from.reason)
  }
})

test('whatever is tried, a task is completed only out of publishing', () => {
  fc.assert(
    fc.property(fc.array(anyState, { maxLength: 60 }), (wanted) => {
      const passed = walk(wanted)
      for (const [i, { status }] of passed.entries()) {
        if (status === 'completed') assert.equal(passed[i - 1]?.reason, 'publishing')
      }
    }),
    { numRuns: 2000 },
  )
})

test('every task that has not ended can fail with every reason, so nothing is ever stuck', () => {
  fc.assert(
    fc.property(anyState, fc.constantFrom(...failedReason.options), (from, reason) => {
      assert.equal(mayMove(from, { status: 'failed', reason }), !isEnded(from))
    }),
  )
})

test('a new attempt can begin from every running state, and every state can be reached', () => {
  for (const from of states.filter(({ status }) => status === 'running')) {
    assert.ok(mayMove(from, { status: 'running', reason: 'preparing' }), from.reason)
  }
  const reached = new Set<string>([born.reason, 'delayed'])
  for (let grew = true; grew; ) {
    const found = states.filter(
      (to) =>
        !reached.has(to.reason) &&
        states.some((from) => reached.has(from.reason) && mayMove(from, to)),
    )
    for (const { reason } of found) reached.add(reason)
    grew = found.length > 0
  }
  assert.deepEqual([...reached].sort(), reason.options.toSorted())
})

test('each reason belongs to one status, and has a sentence and a next action', () => {
  assert.equal(new Set(states.map(({ reason }) => reason)).size, states.length)
  for (const { reason } of states) {
    assert.match(reasons[reason].sentence, /^[A-Z].*\.$/)
    assert.match(reasons[reason].next, /^[A-Z].*\.$/)
  }
})
