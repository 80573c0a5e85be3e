import type { Lease } from '../queue/work-queue.ts'
import { runAttempt } from './attempt.ts'
import type { RunnerDeps } from './deps.ts'
import { Ending } from './ending.ts'
import { sweep } from './sweep.ts'

/** Wait after a claim that failed, most likely because the store is away. */
const claimErrorMs = 1000

/**
 * The process that leases work and runs it: at most `TASK_CONCURRENCY` attempts at once, here and,
 * since the queue counts them in the store, everywhere.
 */
export class Worker implements AsyncDisposable {
  readonly #deps: RunnerDeps
  readonly #stop = new AbortController()
  readonly #running = new Map<Ending, Promise<void>>()
  #loop: Promise<void> = Promise.resolve()
  #sweeping: Promise<void> = Promise.resolve()

  constructor(deps: RunnerDeps) {
    this.#deps = deps
  }

  /**
   * Takes back what this node was running when its last process died (the data directory's lock
   * proves that it did), clears what ended sessions left, and begins to claim.
   */
  async start(): Promise<void> {
    const { queue, log } = this.#deps
    const recovered = await queue.recover()
    if (recovered.length > 0) log.info({ sessions: recovered }, 'work was taken up again')
    await this.#sweep()
    this.#loop = this.#claim()
  }

  /** Takes nothing new and hands back what runs; resolves when nothing runs any more. */
  async drain(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    for (const ending of this.#running.keys()) ending.end({ kind: 'drained' })
    await Promise.all(this.#running.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
  }

  async #claim(): Promise<void> {
    const { queue, config, clock, log } = this.#deps
    const { signal } = this.#stop
    const limit = config.taskConcurrency
    while (!signal.aborted) {
      try {
        const free = limit - this.#running.size
        const leases = free > 0 ? await queue.claim({ free, limit }) : []
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
    const ending = new Ending()
    const running = runAttempt(this.#deps, lease, ending)
      .then(() => this.#sweep())
      .catch((error: unknown) => {
        // Its lease lapses within 15 s, and the work is claimed again.
        log.error({ err: error, sessionId: lease.sessionId }, 'an attempt was lost')
      })
      .finally(() => this.#running.delete(ending))
    this.#running.set(ending, running)
  }
}
