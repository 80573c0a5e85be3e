import type { Lease } from '../queue/work-queue.ts'
import { Hint } from '../store/hint.ts'
import type { Held } from '../store/worker-table.ts'
import { fireDue } from '../tasks/fire.ts'
import { queueDue } from '../tasks/queue-due.ts'
import { wakeDue } from '../tasks/wake.ts'
import { type Asked, announce } from './announce.ts'
import { runAttempt } from './attempt.ts'
import type { RunnerDeps } from './deps.ts'
import { Ending } from './ending.ts'
import { heldBy } from './floors.ts'
import { Orphans } from './orphans.ts'
import { QuotaWaits } from './quota-waits.ts'
import { reap, reapMs } from './reaper.ts'
import { sweep } from './sweep.ts'

/** Wait after a claim that failed, most likely because the store is away. */
const claimErrorMs = 1000

/**
 * The process that leases work and runs it: at most `TASK_CONCURRENCY` attempts at once, within the
 * limits for all nodes that the queue keeps; and one more while it only ends a task. It begins none while the disk or the memory is below its floor.
 */
export class Worker implements AsyncDisposable {
  readonly #deps: RunnerDeps
  readonly #stop = new AbortController()
  /** Aborts when nothing runs any more. */
  readonly #left = new AbortController()
  readonly #running = new Set<Running>()
  #loop: Promise<void> = Promise.resolve()
  #announced: Promise<void> = Promise.resolve()
  /** It was asked to take nothing new. */
  #drains = false
  #sweeping: Promise<void> = Promise.resolve()
  #reaping: Promise<void> = Promise.resolve()
  /** What held new work back at the last look. */
  #held: Held | null = null
  readonly #full: Hint

  constructor(deps: RunnerDeps) {
    this.#deps = deps
    this.#full = new Hint(deps.clock, reapMs)
  }

  /**
   * Takes back what this node was running when its last process died (the data directory's lock
   * proves that it did), clears what ended sessions left, and begins to claim.
   */
  async start(): Promise<void> {
    const { queue, sandboxes, log } = this.#deps
    const orphans = await Orphans.open(this.#deps)
    await sandboxes.recover()
    const recovered = await queue.recover()
    if (recovered.length > 0) log.info({ sessions: recovered }, 'work was taken up again')
    await this.#sweep()
    this.#announced = announce(this.#deps, {
      running: () => this.#running.size,
      onAsked: (asked) => this.#heed(asked),
      signal: this.#left.signal,
    })
    this.#loop = this.#claim()
    const { signal } = this.#stop
    this.#reaping = reap(this.#deps, {
      sweep: () => this.#sweep(orphans),
      full: this.#full,
      signal,
    })
  }

  /** Hands back again what a claim that was under way has begun since the last time. */
  #heed(asked: Asked): void {
    if (!this.#drains) this.#deps.log.info({ asked }, 'nothing new is taken from now on')
    this.#drains = true
    if (asked === 'hand_back') this.#handBack()
  }

  #handBack(): void {
    for (const { ending } of this.#running) ending.end({ kind: 'drained' })
  }

  /** Takes nothing new and hands back what runs; resolves when nothing runs any more. */
  async drain(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    this.#handBack()
    await Promise.all(Array.from(this.#running, ({ over }) => over))
    await this.#reaping
    this.#left.abort()
    await this.#announced
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
  }

  async #claim(): Promise<void> {
    const { queue, config, clock, log } = this.#deps
    const { signal } = this.#stop
    const waits = new QuotaWaits(this.#deps)
    while (!signal.aborted) {
      try {
        await waits.follow()
        await queueDue(this.#deps)
        await wakeDue(this.#deps)
        await fireDue({ ...this.#deps.schedules, log })
        const free = await this.#free()
        const leases = free < 0 ? [] : await queue.claim({ ...config.limits, free })
        for (const lease of leases) this.#run(lease)
        if (leases.length === 0) await queue.changed(signal)
      } catch (error) {
        if (signal.aborted) return
        log.error({ err: error }, 'work could not be claimed')
        await clock.sleep(claimErrorMs, signal).catch(() => undefined)
      }
    }
  }

  /** How much may be begun now; 0: only what has to end; below: not even that. */
  async #free(): Promise<number> {
    const { config } = this.#deps
    if (this.#drains) return -1
    const free = config.taskConcurrency - this.#running.size
    const held = await heldBy(this.#deps)
    // Room is made at once where it is short.
    if (held === 'disk' && this.#held !== held) this.#full.give()
    this.#held = held
    // What has only to end needs a place beside the others, and hardly any room.
    return held === null ? free : Math.min(free, 0)
  }

  /** One at a time: two sweeps would clear the same session. `orphans`: it looks for them as well. */
  #sweep(orphans?: Orphans): Promise<void> {
    this.#sweeping = this.#sweeping
      .then(() => orphans?.adopt())
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
