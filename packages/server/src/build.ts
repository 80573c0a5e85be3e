import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { OrderPolicy, SandboxReport } from '@longhaul/client/contract'
import { z } from 'zod'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { measureDeliveries } from './delivery/measure.ts'
import { receiverProblem } from './delivery/receiver.ts'
import { DeliverySender } from './delivery/sender.ts'
import { sseRoute } from './delivery/sse.ts'
import { webSocketRoute } from './delivery/websocket.ts'
import { LiveEvents } from './events/live.ts'
import { Breaker } from './gateway/breaker.ts'
import { GitCredentials } from './gateway/credentials.ts'
import { createApp } from './http/app.ts'
import { ensureFirstKey } from './http/first-key.ts'
import { listen } from './http/listen.ts'
import { secretWords } from './known-secrets.ts'
import type { Log } from './log.ts'
import { Metrics } from './metrics.ts'
import { PriceTable } from './prices/price-table.ts'
import { measureQueue, oldestWaitMs } from './queue/depth.ts'
import { WorkQueue } from './queue/work-queue.ts'
import type { RunnerDeps } from './runner/deps.ts'
import { DiskFloor, type Statfs } from './runner/disk-floor.ts'
import { environmentLimitsOf } from './runner/limits.ts'
import { Mirrors } from './runner/mirrors.ts'
import { toolNames } from './runner/toolbox.ts'
import { Worker } from './runner/worker.ts'
import { createSandboxDriver } from './sandbox/create.ts'
import { makeInDataDirectory } from './sandbox/directories.ts'
import type { SandboxDriver } from './sandbox/driver.ts'
import { detectRegistries } from './sandbox/registries.ts'
import { takeUidRange, type UidRange } from './sandbox/uid-range.ts'
import type { Scrubber } from './scrub/scrubber.ts'
import { archiveAgent, changeAgent, createAgent } from './sessions/agents.ts'
import {
  archiveEnvironment,
  changeEnvironment,
  createEnvironment,
} from './sessions/environments.ts'
import { AuditWriter } from './store/audit-writer.ts'
import { deliveriesChannel } from './store/deliveries.ts'
import { Listener } from './store/listen.ts'
import { openStore, type Store } from './store/open.ts'
import { putSettingIfAbsent } from './store/settings.ts'
import { answerApproval } from './tasks/answer.ts'
import { cancelTask } from './tasks/cancel.ts'
import { createTask } from './tasks/create.ts'
import { deleteTask } from './tasks/delete.ts'
import {
  changeEndpoint,
  createEndpoint,
  mintSecret,
  rotateEndpoint,
  testEndpoint,
} from './tasks/endpoints.ts'
import { sendMessage } from './tasks/messages.ts'
import { orderPolicy } from './tasks/policy.ts'
import { changeRepository, createRepository } from './tasks/repositories.ts'
import { changeSchedule, createSchedule, fireNow, type ScheduleDeps } from './tasks/schedules.ts'
import { seedAgents } from './tasks/seed-agents.ts'
import { seedEnvironment } from './tasks/seed-environment.ts'
import { Alerts } from './telemetry/alerts.ts'
import { conditionsOf } from './telemetry/conditions.ts'

/** A running server. Disposing drains it: what runs is handed back, then everything is closed. */
export interface Server extends AsyncDisposable {
  readonly url: string
  /** The first API key, when one had to be minted: nobody will see it again. */
  readonly mintedKey: string | null
  readonly modelConfigured: boolean
  /** Aborts when another server took the data directory over: this one has to end. */
  readonly lost: AbortSignal
}

/**
 * Wires the rooms together, bottom up: store, log of events, queue, sandbox, runner, HTTP. It
 * rejects with a sentence when one of them cannot work on this machine; what was open is closed.
 */
export async function buildServer(o: {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  /** Knows what the settings keep secret, and learns what else is. */
  readonly scrubber: Scrubber
  /** Gives the start up. */
  readonly signal: AbortSignal
  /** How much the disk has left; default: what it says itself. */
  readonly statfs?: Statfs
}): Promise<Server> {
  const { config, clock, log, scrubber } = o
  const metrics = new Metrics()
  await using opened = new AsyncDisposableStack()
  const dataDir = resolve(config.dataDir)
  await makeInDataDirectory(dataDir, 'sessions')
  // Asked first and awaited last: package managers take a second to say where their registry is.
  const egress = egressOf(o)
  egress.catch(() => undefined) // A start that fails before the await below has its own reason.
  // The store first: it says better that another server has the same directory.
  const store = opened.use(await openStore({ ...o, dataDir, databaseUrl: config.databaseUrl }))
  const { sandboxes, report } = await openSandboxes(o, { dataDir, opened })
  const audit = opened.use(new AuditWriter({ store, clock, log, scrubber }))
  await seedAgents({ store, clock })
  await seedEnvironment({ store, clock })
  const live = opened.use(await LiveEvents.open({ store, log, clock }))
  const queue = opened.use(await WorkQueue.open({ store, clock, log, node: store.node }))
  const sender = await openSender(o, { store, metrics, opened })
  const credentials = new GitCredentials(o.config.github, o)
  const tasks = tasksOf({ ...o, store, queue, metrics })
  const schedules = { store, clock, ...tasks }
  const deps: Omit<RunnerDeps, 'publicUrl'> = {
    ...{ config, store, queue, live, sandboxes, dataDir, clock, log, metrics, node: store.node },
    ...{ audit, credentials, egress: await egress, breaker: new Breaker({ clock, metrics }) },
    prices: pricesOf(o),
    schedules,
    mirrors: new Mirrors({ audit, config, credentials, sandboxes, dataDir, metrics, clock, log }),
    disk: new DiskFloor({ ...o, directory: dataDir, floorBytes: config.diskFloorBytes, metrics }),
  }
  const alerts = opened.use(alertsOf(deps))
  const draining = new AbortController()
  const app = createApp({
    ...{ store, clock, log, scrubber, version, metrics },
    measureStore: () => measureStore(store, { metrics, clock }),
    tasks,
    agents: {
      policy: { tools: toolNames(config) },
      create: (trx, content, caller) => createAgent(trx, { clock }, content, caller),
      change: (change, caller) => changeAgent({ store, clock }, change, caller),
      archive: (id) => archiveAgent({ store, clock }, id),
    },
    environments: environmentsOf(store, clock),
    schedules: scheduleRoutesOf(schedules),
    endpoints: endpointsOf(store, o),
    repositories: {
      create: (trx, given, caller) => createRepository(trx, { clock }, given, caller),
      change: (id, patch) => changeRepository({ store, clock }, id, patch),
    },
    health: {
      queueReady: () => queue.ready(),
      sandbox: () => report,
      modelConfigured: config.model.headers !== null,
      alerts: () => alerts.list(),
      disk: () => deps.disk.look(),
    },
    mount: (app) => {
      const readers = { store, live, clock, log, metrics, signal: draining.signal }
      sseRoute(readers)(app)
      webSocketRoute(readers)(app)
    },
  })
  const mintedKey = await firstKeyOf(o, store)
  const listening = opened.use(await listen(app, { ...config, clock }))
  const publicUrl = config.publicUrl ?? new URL(listening.url)
  const worker = opened.use(new Worker({ ...deps, publicUrl }))
  // First of all when the server stops: streams end, so that closing need not wait for readers.
  opened.defer(() => draining.abort())
  sender.start()
  alerts.start()
  await worker.start()
  const closing = opened.move()
  return {
    url: listening.url,
    mintedKey,
    modelConfigured: config.model.headers !== null,
    lost: store.lost,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

function alertsOf(deps: Omit<RunnerDeps, 'publicUrl'>): Alerts {
  const { config, store, disk, audit, breaker, clock } = deps
  const conditions = conditionsOf({
    oldestWaitMs: () => oldestWaitMs(store.db),
    queueWaitMs: config.queueWaitAlertMs,
    disk: () => disk.look(),
    isAuditBehind: () => audit.isBehind,
    modelLimitedUntil: () => breaker.closedUntil,
    clock,
  })
  return new Alerts({ ...deps, conditions })
}

/** The server's version, from its package. */
export const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')))

function environmentsOf(
  store: Store,
  clock: Clock,
): Parameters<typeof createApp>[0]['environments'] {
  return {
    create: (trx, content, caller) => createEnvironment(trx, { clock }, content, caller),
    change: (change, caller) => changeEnvironment({ store, clock }, change, caller),
    archive: (id) => archiveEnvironment({ store, clock }, id),
  }
}

/** How tasks are ordered and ended, by a request or by a schedule. */
function tasksOf({
  config,
  store,
  queue,
  clock,
  metrics,
}: Parameters<typeof buildServer>[0] & {
  readonly store: Store
  readonly queue: WorkQueue
  readonly metrics: Metrics
}): Parameters<typeof createApp>[0]['tasks'] {
  const limits = environmentLimitsOf(config)
  return {
    policy: policyOf(config, clock),
    create: (trx, order, caller, o) => createTask(trx, { queue, clock, limits }, order, caller, o),
    cancel: (id, caller) => cancelTask({ store, queue, clock, metrics }, id, caller),
    delete: (id) => deleteTask({ store, clock }, id),
    answer: (trx, o) => answerApproval(trx, { queue, clock }, o),
    say: (trx, o) => sendMessage(trx, { queue, clock }, o),
  }
}

function scheduleRoutesOf(deps: ScheduleDeps): Parameters<typeof createApp>[0]['schedules'] {
  return {
    create: (trx, content, caller) => createSchedule(trx, deps, content, caller),
    change: (id, patch) => changeSchedule(deps, id, patch),
    fireNow: (trx, o) => fireNow(trx, deps, o),
  }
}

/** Null where sandboxes have the server's own uid. */
async function uidsOf(
  { config, clock, signal }: Parameters<typeof buildServer>[0],
  dataDir: string,
): Promise<UidRange | null> {
  if (config.sandbox === 'none' || process.getuid?.() !== 0) return null
  return takeUidRange({ dataDir, base: config.slotUidBase, clock, signal })
}

async function openSandboxes(
  o: Parameters<typeof buildServer>[0],
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

async function firstKeyOf(
  { config, clock, scrubber }: Parameters<typeof buildServer>[0],
  store: Store,
): Promise<string | null> {
  const minted = await ensureFirstKey({ store, clock }, config.apiKey)
  if (minted !== null) scrubber.learn([minted])
  return minted
}

function endpointsOf(
  store: Store,
  { config, clock }: Parameters<typeof buildServer>[0],
): Parameters<typeof createApp>[0]['endpoints'] {
  const deps = { store, clock }
  return {
    problem: (url) => receiverProblem({ url, allow: config.callbackAllow }),
    create: (trx, given, caller) => createEndpoint(trx, deps, given, caller),
    change: (id, patch) => changeEndpoint(deps, id, patch),
    rotate: (id) => rotateEndpoint(deps, id),
    test: (endpoint, caller) => testEndpoint(deps, endpoint, caller),
  }
}

/** Sends what is written, by whichever node, as soon as it is. */
async function openSender(
  { config, clock, log, scrubber }: Parameters<typeof buildServer>[0],
  o: {
    readonly store: Store
    readonly metrics: Metrics
    readonly opened: AsyncDisposableStack
  },
): Promise<DeliverySender> {
  const { store, metrics, opened } = o
  const secret =
    config.callbackSecret ?? (await putSettingIfAbsent(store.db, 'callback_secret', mintSecret()))
  // Both how it is written and the key that it writes.
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64').toString('latin1')
  scrubber.learn([secret, key].flatMap(secretWords))
  const allow = config.callbackAllow
  const sender = opened.use(new DeliverySender({ store, clock, log, metrics, secret, allow }))
  const channel = deliveriesChannel
  opened.use(await Listener.open({ store, channel, log, clock, onHint: () => sender.poke() }))
  return sender
}

async function measureStore(
  { db }: Store,
  o: { readonly metrics: Metrics; readonly clock: Clock },
): Promise<void> {
  await measureQueue(db, o.metrics)
  await measureDeliveries(db, o)
}

/** Where agents may go: what the operator lists, and the registries this host is configured for. */
async function egressOf({
  config,
  log,
  signal,
}: Parameters<typeof buildServer>[0]): Promise<RunnerDeps['egress']> {
  const { hosts, env } = await detectRegistries({ ...config.operator, log, signal })
  return { presets: { package_registries: hosts }, env }
}

/** What models cost; the log says from which days the figures are. */
function pricesOf({ config, log }: Parameters<typeof buildServer>[0]): PriceTable {
  const { own, unknownModel } = config.prices
  const prices = new PriceTable({ unknownModel, ...(own && { own: own.models }) })
  log.info({ list: prices.dated, own: own?.dated ?? null, unknownModel }, 'the prices of models')
  return prices
}

function policyOf(config: Config, clock: Clock): OrderPolicy {
  return orderPolicy({
    trustedOrigins: [config.github.url.origin],
    allowPrivate: config.gatewayAllowPrivate,
    callbackAllow: config.callbackAllow,
    clock,
  })
}
