import type { Lease } from '../queue/work-queue.ts'
import { fireDue } from '../tasks/fire.ts'
import { queueDue } from '../tasks/queue-due.ts'
import { wakeDue } from '../tasks/wake.ts'
import { runAttempt } from './attempt.ts'
import type { RunnerDeps } from './deps.ts'
import { Ending } from './ending.ts'
import { reap } from './reaper.ts'
import { sweep } from './sweep.ts'

/** Wait after a claim that failed, most likely because the store is away. */
const claimErrorMs = 1000

/**
 * The process that leases work and runs it: at most `TASK_CONCURRENCY` attempts at once, here and,
 * since the queue counts them in the store, everywhere; and one more while it only ends a task. It
 * begins none while the disk is below its floor.
 */
export class Worker implements AsyncDisposable {
  readonly #deps: RunnerDeps
  readonly #stop = new AbortController()
  readonly #running = new Set<Running>()
  #loop: Promise<void> = Promise.resolve()
  #sweeping: Promise<void> = Promise.resolve()
  #reaping: Promise<void> = Promise.resolve()

  constructor(deps: RunnerDeps) {
    this.#deps = deps
  }

  /**
   * Takes back what this node was running when its last process died (the data directory's lock
   * proves that it did), clears what ended sessions left, and begins to claim.
   */
  async start(): Promise<void> {
    const { queue, sandboxes, log } = this.#deps
    await sandboxes.recover()
    const recovered = await queue.recover()
    if (recovered.length > 0) log.info({ sessions: recovered }, 'work was taken up again')
    await this.#sweep()
    this.#loop = this.#claim()
    const { signal } = this.#stop
    this.#reaping = reap(this.#deps, { sweep: () => this.#sweep(), signal })
  }

  /** Takes nothing new and hands back what runs; resolves when nothing runs any more. */
  async drain(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    for (const { ending } of this.#running) ending.end({ kind: 'drained' })
    await Promise.all(Array.from(this.#running, ({ over }) => over))
    await this.#reaping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
  }

  async #claim(): Promise<void> {
    const { queue, config, disk, clock, log } = this.#deps
    const { signal } = this.#stop
    const limit = config.taskConcurrency
    while (!signal.aborted) {
      try {
        await queueDue(this.#deps)
        await wakeDue(this.#deps)
        await fireDue({ ...this.#deps.schedules, log })
        const free = limit - this.#running.size
        const { problem } = await disk.look()
        // What has only to end needs a place beside the others, and hardly any room on the disk.
        const begun = problem === null ? free : Math.min(free, 0)
        const leases = free < 0 ? [] : await queue.claim({ free: begun, limit })
        for (const lease of leases) this.#run(lease)
        if (leases.length === 0) await queue.changed(signal)
      } catch (error) {
        if (signal.aborted) return
        log.error({ err: error }, 'work could not be claimed')
        await clock.sleep(claimErrorMs, signal).catch(() => undefined)
      }
    }
  }

  /** One at a time: two sweeps would clear the same session. */
  #sweep(): Promise<void> {
    this.#sweeping = this.#sweeping
      .then(() => sweep(this.#deps))
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'what an ended session left could not be removed')
      })
    return this.#sweeping
  }

  #run(lease: Lease): void {
    const { log } = this.#deps
    const { sessionId } = lease
    const ending = new Ending()
    // A session that was reopened may be just being cleared, as one that had ended.
    const cleared = lease.attempt > 1 ? this.#sweeping : Promise.resolve()
    const over = Promise.all([cleared, this.#endEarlier(sessionId)])
      .then(() => runAttempt(this.#deps, lease, ending))
      .then(() => this.#sweep())
      .catch((error: unknown) => {
        // Its lease lapses within 12 s, and the work is claimed again.
        log.error({ err: error, sessionId }, 'an attempt was lost')
      })
      .finally(() => this.#running.delete(running))
    const running: Running = { sessionId, ending, over }
    this.#running.add(running)
  }

  /**
   * Ends what this process still runs of a session: that it could be claimed proves that the
   * earlier lease has lapsed, and two attempts would share a directory and a socket. Should that
   * take so long that the new lease lapses as well, the new attempt finds it so and writes nothing.
   */
  async #endEarlier(sessionId: string): Promise<void> {
    const earlier = Array.from(this.#running).filter((each) => each.sessionId === sessionId)
    for (const { ending } of earlier) ending.end({ kind: 'lost' })
    await Promise.all(earlier.map(({ over }) => over))
  }
}

/** An attempt of this process, until nothing of it runs any more. */
interface Running {
  readonly sessionId: string
  readonly ending: Ending
  /** Never rejects. */
  readonly over: Promise<void>
}
