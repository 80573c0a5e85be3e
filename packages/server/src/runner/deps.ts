import type { Clock } from '../clock.ts'
import type { Config, HostPort, Preset } from '../config.ts'
import type { LiveEvents } from '../events/live.ts'
import type { Answers } from '../gateway/answers.ts'
import type { Bodies } from '../gateway/bodies.ts'
import type { Breaker } from '../gateway/breaker.ts'
import type { GitCredentials } from '../gateway/credentials.ts'
import type { Lookups } from '../gateway/lookups.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { PriceTable } from '../prices/price-table.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import type { SandboxDriver } from '../sandbox/driver.ts'
import type { AuditWriter } from '../store/audit-writer.ts'
import type { Store } from '../store/open.ts'
import type { ScheduleDeps } from '../tasks/schedule-order.ts'
import type { DiskFloor } from './disk-floor.ts'
import type { MemoryFloor } from './memory-floor.ts'
import type { Mirrors } from './mirrors.ts'

/** What every attempt of this process works with. */
export interface RunnerDeps {
  readonly config: Config
  /** The server's. */
  readonly version: string
  readonly credentials: GitCredentials
  /** Where people reach this server. */
  readonly publicUrl: URL
  readonly store: Store
  readonly queue: WorkQueue
  readonly live: LiveEvents
  readonly sandboxes: SandboxDriver
  readonly mirrors: Mirrors
  /** Of the model's credential. */
  readonly breaker: Breaker
  /** What its agents ask the model for. */
  readonly bodies: Bodies
  /** What they are answered elsewhere. */
  readonly answers: Answers
  /** The names that they reach hosts by. */
  readonly lookups: Lookups
  readonly prices: PriceTable
  readonly schedules: ScheduleDeps
  readonly audit: AuditWriter
  /** Absolute; a session's directory is `sessions/<id>` below it. */
  readonly dataDir: string
  /** What the presets of a list of hosts stand for, and what an agent's package managers are told. */
  readonly egress: {
    readonly presets: Readonly<Record<Preset, readonly HostPort[]>>
    readonly env: Readonly<Record<string, string>>
  }
  /** This data directory's name in the store: who holds a workspace. */
  readonly node: string
  /** Whether the disk has room for new work. */
  readonly disk: DiskFloor
  /** Whether there is memory for new work. */
  readonly memory: MemoryFloor
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}
