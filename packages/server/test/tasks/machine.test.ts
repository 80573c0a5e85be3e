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

test('whatever is tried, a task never goes back from running to pending, and ends at most once', () => {
  fc.assert(
    fc.property(fc.array(anyState, { maxLength: 60 }), (wanted) => {
      const passed = walk(wanted)
      for (const [i, state] of passed.entries()) {
        const before = passed[i - 1]
        if (before) assert.ok(rank[state.status] >= rank[before.status])
      }
      assert.ok(passed.filter(isEnded).length <= 1)
      assert.ok(passed.slice(0, -1).every((state) => !isEnded(state)))
    }),
    { numRuns: 2000 },
  )
})

test('whatever is tried, a task is completed only out of publishing', () => {
  fc.assert(
    fc.property(fc.array(anyState, { maxLength: 60 }), (wanted) => {
      const passed = walk(wanted)
      const end = passed.at(-1)
      if (end?.status !== 'completed') return
      assert.equal(passed.at(-2)?.reason, 'publishing')
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
