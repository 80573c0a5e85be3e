import type { Clock, Timer } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { SandboxLimits, SandboxUsage } from '../driver.ts'
import { killIfAlive } from '../process-table.ts'
import { type Exhausted, type LimitHits, noHits } from './hits.ts'
import { type Footprint, ProcessScan, provenMemoryBytes, type Sighting } from './process-scan.ts'

/** Between two looks a hog here took 300 MB; a look takes a few milliseconds. */
const watchdogMs = 250

/** What the watchdog follows of one sandbox. */
interface Ward {
  readonly sessionId: string
  readonly limits: SandboxLimits
  readonly uid: number
  readonly ownUid: boolean
  readonly mounted: string
  /** What nothing else holds. */
  readonly watch: { readonly memory: boolean; readonly processes: boolean }
}

/** One sandbox, watched. */
export interface Watched {
  hits(): LimitHits
  usage(): SandboxUsage
  stop(): void
}

interface Tally {
  hits: LimitHits
  memoryBytes: number
  memoryPeakBytes: number
  processes: number
  /** Of processes that are gone, and of each that lives, by its identity. */
  cpuSecondsEnded: number
  cpuSecondsLive: Map<string, number>
}

/**
 * Holds limits where no control group does: adds up, a few times a second, what the processes of
 * each sandbox take, and kills all of them once it is too much. It looks at nothing while nothing
 * is watched.
 */
export class Watchdog {
  readonly #clock: Clock
  readonly #log: Log
  readonly #wards = new Map<Ward, Tally>()
  readonly #scan = new ProcessScan()
  #timer: Timer | null = null

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  watch(ward: Ward): Watched {
    const tally: Tally = {
      hits: noHits,
      memoryBytes: 0,
      memoryPeakBytes: 0,
      processes: 0,
      cpuSecondsEnded: 0,
      cpuSecondsLive: new Map(),
    }
    this.#wards.set(ward, tally)
    this.#timer ??= this.#next()
    return {
      hits: () => tally.hits,
      usage: () => ({
        memoryBytes: tally.memoryBytes,
        memoryPeakBytes: tally.memoryPeakBytes,
        processes: tally.processes,
        diskBytes: null,
        cpuSeconds: tally.cpuSecondsEnded + sum(tally.cpuSecondsLive.values()),
      }),
      stop: () => void this.#wards.delete(ward),
    }
  }

  #next(): Timer {
    return this.#clock.after(watchdogMs, () => void this.#look())
  }

  async #look(): Promise<void> {
    try {
      const found = await this.#scan.of([...this.#wards.keys()])
      for (const [ward, sighting] of found) {
        const tally = this.#wards.get(ward)
        if (tally !== undefined) await this.#judge(ward, { tally, ...sighting })
      }
    } catch (error) {
      this.#log.error({ err: error }, 'the watchdog could not look at the processes')
    } finally {
      this.#timer = this.#wards.size === 0 ? null : this.#next()
    }
  }

  async #judge(
    { limits, watch, ownUid, sessionId }: Ward,
    o: Sighting & { readonly tally: Tally },
  ): Promise<void> {
    const { tally, processes, threadsOfUid } = o
    count(tally, processes)
    if (watch.memory && tally.memoryBytes > limits.memoryBytes) {
      // Pages that forked processes share were counted for each of them.
      const bytes = await provenMemoryBytes(processes)
      if (bytes > limits.memoryBytes) return this.#end('out_of_memory', { sessionId, ...o })
    }
    if (!watch.processes) return
    // The kernel refuses more to a uid with a limit of its own: at the limit, it does so now.
    if (ownUid && threadsOfUid >= limits.processes)
      tally.hits = plusOne(tally.hits, 'too_many_processes')
    else if (!ownUid && tally.processes > limits.processes)
      this.#end('too_many_processes', { sessionId, ...o })
  }

  #end(
    why: Exhausted,
    o: {
      readonly sessionId: string
      readonly tally: Tally
      readonly processes: readonly Footprint[]
    },
  ): void {
    o.tally.hits = plusOne(o.tally.hits, why)
    for (const { identity } of o.processes) killIfAlive(identity)
    this.#log.warn({ sessionId: o.sessionId, why, killed: o.processes.length }, 'limit reached')
  }
}

function count(tally: Tally, processes: readonly Footprint[]): void {
  tally.processes = sum(processes.map(({ threads }) => threads))
  tally.memoryBytes = sum(processes.map(({ memoryBytes }) => memoryBytes))
  tally.memoryPeakBytes = Math.max(tally.memoryPeakBytes, tally.memoryBytes)
  const live = new Map(
    processes.map(({ identity, cpuSeconds }) => [
      `${identity.pid} ${identity.startTime}`,
      cpuSeconds,
    ]),
  )
  for (const [who, seconds] of tally.cpuSecondsLive) {
    if (!live.has(who)) tally.cpuSecondsEnded += seconds
  }
  tally.cpuSecondsLive = live
}

function plusOne(hits: LimitHits, which: Exhausted): LimitHits {
  return { ...hits, [which]: hits[which] + 1 }
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
