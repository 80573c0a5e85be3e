import type { EventWriter } from '../events/writer.ts'
import type { Metrics } from '../metrics.ts'
import type { Sandbox, SandboxUsage } from '../sandbox/driver.ts'
import { type Exhausted, firstHit, type LimitHits } from '../sandbox/limits/hits.ts'
import { sentenceOf } from '../sandbox/limits/sentence.ts'

/** A limit that was just hit: the reason of a task that fails of it, and what happened. */
export interface LimitHit {
  readonly reason: Exhausted
  readonly message: string
}

/**
 * Notices the limits that what runs in a session hits, and writes them into its log, each look at
 * most one: whoever looks learns what was hit since the look before, by whom it may be.
 */
export class LimitNotes {
  readonly #sandbox: Pick<Sandbox, 'limitHits' | 'limits' | 'diskCause'>
  readonly #writer: EventWriter
  readonly #metrics: Metrics
  #seen: LimitHits

  constructor(o: {
    readonly sandbox: Pick<Sandbox, 'limitHits' | 'limits' | 'diskCause'>
    readonly writer: EventWriter
    readonly metrics: Metrics
  }) {
    this.#sandbox = o.sandbox
    this.#writer = o.writer
    this.#metrics = o.metrics
    this.#seen = o.sandbox.limitHits()
  }

  /** What was hit since the last look; null: nothing. */
  look(): LimitHit | null {
    const hits = this.#sandbox.limitHits()
    const reason = firstHit(hits, this.#seen)
    this.#seen = hits
    if (reason === null) return null
    const message = sentenceOf(reason, this.#sandbox)
    this.#metrics.limitsReached.inc({ limit: reason })
    // A writer that lost its lease has told `onLost`, which stops this attempt.
    this.#writer
      .write({ type: 'workspace.limit_reached', limit: reason, message })
      .catch(() => undefined)
    return { reason, message }
  }
}

/** Writes down what an attempt took of its host, once its sandbox is closed. */
export async function noteUsage(
  { cpuSeconds, memoryPeakBytes, diskBytes }: SandboxUsage,
  o: { readonly writer: EventWriter; readonly metrics: Metrics; readonly type: string },
): Promise<void> {
  const { type } = o
  if (cpuSeconds !== null) o.metrics.sandboxCpuSeconds.inc({ type }, cpuSeconds)
  if (memoryPeakBytes !== null) o.metrics.sandboxMemoryPeak.observe({ type }, memoryPeakBytes)
  if (diskBytes !== null) o.metrics.sandboxDisk.observe({ type }, diskBytes)
  if ([cpuSeconds, memoryPeakBytes, diskBytes].every((value) => value === null)) return
  await o.writer.write({
    type: 'workspace.usage',
    cpu_seconds: cpuSeconds,
    memory_peak_bytes: memoryPeakBytes,
    disk_bytes: diskBytes,
  })
}
