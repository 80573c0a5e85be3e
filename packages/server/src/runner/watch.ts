import { type Clock, ClockSteps } from '../clock.ts'
import type { LiveEvents } from '../events/live.ts'
import type { Log } from '../log.ts'
import type { Lease, WorkQueue } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import { getTask } from '../store/tasks.ts'
import type { Ending } from './ending.ts'

/** A lease lapses after 12 s without a beat; three beats may fail before that. */
const beatMs = 3000
/** Unreachable store: the attempt stops itself before another worker may take the lease. */
const silenceMsMax = 9000
const answerMsMin = 1000

interface Watched {
  readonly store: Store
  readonly queue: WorkQueue
  readonly live: LiveEvents
  readonly lease: Lease
  readonly taskId: string
  readonly ending: Ending
  readonly clock: Clock
  readonly log: Log
  /** The date was set by so many milliseconds, or the machine stood still for as long. */
  readonly stepped: (stepMs: number) => Promise<void>
}

/**
 * Keeps the lease alive, and listens for the task's cancellation, until the attempt is over.
 * Resolves once `over` aborted and nothing of it runs any more; never rejects.
 */
export async function watch(watched: Watched, over: AbortSignal): Promise<void> {
  await Promise.all([beat(watched, over), listen(watched, over)])
}

async function beat(watched: Watched, over: AbortSignal) {
  const { queue, lease, ending, clock, log } = watched
  const steps = new ClockSteps(clock)
  // Not by the date: one that is set back would let a touch hang for longer than a lease lasts.
  let heard = clock.elapsed()
  while (!over.aborted) {
    const asked = clock.elapsed()
    // A process that slept through it all still asks: the store knows whose the lease is.
    const left = Math.max(answerMsMin, heard + silenceMsMax - asked)
    try {
      const isHeld = await within(left, queue.touch(lease), { clock, signal: over })
      if (!isHeld) return ending.end({ kind: 'lost' })
      // The lease was renewed no earlier than that, however late the answer is.
      heard = asked
      const stepMs = steps.look()
      if (stepMs !== 0) await within(answerMsMin, told(watched, stepMs), { clock, signal: over })
    } catch (error) {
      if (over.aborted) return
      log.warn({ err: error, sessionId: lease.sessionId }, 'the lease could not be renewed')
      if (clock.elapsed() - heard > silenceMsMax) return ending.end({ kind: 'lost' })
    }
    await clock.sleep(beatMs, over).catch(() => undefined)
  }
}

async function told({ stepped, log, lease }: Watched, stepMs: number): Promise<boolean> {
  try {
    await stepped(stepMs)
  } catch (error) {
    log.warn({ err: error, sessionId: lease.sessionId, stepMs }, 'the jump was not written down')
  }
  return true
}

/** What `answer` settles with, or false when it has not in time. Rejects when the signal aborts. */
async function within(
  ms: number,
  answer: Promise<boolean>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  const settled = new AbortController()
  const late = clock.sleep(ms, AbortSignal.any([signal, settled.signal])).then(() => false)
  try {
    return await Promise.race([answer, late])
  } finally {
    settled.abort()
  }
}

async function listen({ store, live, lease, taskId, ending, log }: Watched, over: AbortSignal) {
  using hints = live.subscribe(lease.sessionId)
  while (!over.aborted) {
    try {
      const task = await getTask(store.db, taskId)
      if (task?.cancel_requested_at) return ending.end({ kind: 'failed', reason: 'cancelled' })
    } catch (error) {
      log.warn({ err: error, taskId }, 'the cancellation could not be looked up')
    }
    await hints.wait(over).catch(() => undefined)
  }
}
