import type { SandboxReport } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import { Answers } from '../gateway/answers.ts'
import { Bodies } from '../gateway/bodies.ts'
import { Breaker } from '../gateway/breaker.ts'
import { GitCredentials } from '../gateway/credentials.ts'
import { Lookups } from '../gateway/lookups.ts'
import type { Log } from '../log.ts'
import { PriceTable } from '../prices/price-table.ts'
import type { RunnerDeps } from '../runner/deps.ts'
import type { Statfs } from '../runner/disk-floor.ts'
import { MemoryFloor } from '../runner/memory-floor.ts'
import { Mirrors } from '../runner/mirrors.ts'
import { createSandboxDriver } from '../sandbox/create.ts'
import type { SandboxDriver } from '../sandbox/driver.ts'
import { detectRegistries } from '../sandbox/registries.ts'
import { takeUidRange, type UidRange } from '../sandbox/uid-range.ts'
import type { Scrubber } from '../scrub/scrubber.ts'

/** What a process of a node does: answer and deliver, work, or both. */
export interface Roles {
  readonly http: boolean
  readonly worker: boolean
}

export interface BuildOptions {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  /** Knows what the settings keep secret, and learns what else is. */
  readonly scrubber: Scrubber
  /** Gives the start up. */
  readonly signal: AbortSignal
  /** Default: both. */
  readonly roles?: Roles
  /** How much the disk has left; default: what it says itself. */
  readonly statfs?: Statfs
  /** How many bytes of memory are free; default: what Node says. */
  readonly freeMemory?: () => number
}

/** What only who runs sandboxes has. */
type Own =
  | 'sandboxes'
  | 'credentials'
  | 'egress'
  | 'breaker'
  | 'bodies'
  | 'answers'
  | 'lookups'
  | 'prices'
  | 'mirrors'
  | 'memory'

/** The sandboxes of this node, and what agents in them reach. */
export interface Runner extends Pick<RunnerDeps, Own> {
  readonly report: SandboxReport
}

/** Throws an Error with a sentence when sandboxes cannot be had here. */
export async function openRunner(
  o: BuildOptions,
  shared: Pick<RunnerDeps, 'dataDir' | 'audit' | 'metrics'> & {
    readonly egress: Promise<RunnerDeps['egress']>
    readonly opened: AsyncDisposableStack
  },
): Promise<Runner> {
  const { config, clock, log } = o
  const { dataDir, audit, metrics, opened } = shared
  const { sandboxes, report } = await openSandboxes(o, shared)
  const credentials = new GitCredentials(config.github, o)
  return {
    ...{ sandboxes, report, credentials, egress: await shared.egress, prices: pricesOf(o) },
    breaker: new Breaker({ clock, metrics }),
    bodies: opened.use(new Bodies({ metrics, clock, log })),
    answers: new Answers(),
    lookups: new Lookups({ clock }),
    memory: new MemoryFloor({ ...o, floorBytes: config.memoryFloorBytes, metrics }),
    mirrors: new Mirrors({ audit, config, credentials, sandboxes, dataDir, metrics, clock, log }),
  }
}

/** Null where sandboxes have the server's own uid. */
async function uidsOf(
  { config, clock, signal }: BuildOptions,
  dataDir: string,
): Promise<UidRange | null> {
  if (config.sandbox === 'none' || process.getuid?.() !== 0) return null
  return takeUidRange({ dataDir, base: config.slotUidBase, clock, signal })
}

async function openSandboxes(
  o: BuildOptions,
  { dataDir, opened }: { readonly dataDir: string; readonly opened: AsyncDisposableStack },
): Promise<{ sandboxes: SandboxDriver; report: SandboxReport }> {
  const { config, clock, log, signal } = o
  const uids = await uidsOf(o, dataDir)
  if (uids !== null) opened.use(uids)
  const sandboxes = createSandboxDriver({
    kind: config.sandbox,
    requireLimits: config.sandboxRequireLimits,
    ...{ dataDir, log, clock },
    ...(uids && { uidBase: uids.base }),
  })
  const report = await sandboxes.probe(signal)
  if (!report.ok) {
    throw new Error(`${report.problem} ${optOut}`)
  }
  for (const { what, consequence, fix } of report.gaps)
    log.warn({ sandbox: report.driver }, `${what} ${consequence} ${fix}`)
  return { sandboxes, report }
}

/** The only way round a sandbox that cannot be had. */
const optOut =
  '`longhaul doctor` says all that it found. (SANDBOX=none starts without walls, for trusted work only.)'

/** Where agents may go: what the operator lists, and the registries this host is configured for. */
export async function egressOf({
  config,
  log,
  signal,
}: BuildOptions): Promise<RunnerDeps['egress']> {
  const { hosts, env } = await detectRegistries({ ...config.operator, log, signal })
  return { presets: { package_registries: hosts }, env }
}

/** What models cost; the log says from which days the figures are. */
function pricesOf({ config, log }: BuildOptions): PriceTable {
  const { own, unknownModel } = config.prices
  const prices = new PriceTable({ unknownModel, ...(own && { own: own.models }) })
  log.info({ list: prices.dated, own: own?.dated ?? null, unknownModel }, 'the prices of models')
  return prices
}
