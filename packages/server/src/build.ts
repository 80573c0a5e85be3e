import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { OrderPolicy } from '@longhaul/client/contract'
import { z } from 'zod'
import { type BuildOptions, egressOf, openRunner, type Runner } from './build/runner.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { measureDeliveries } from './delivery/measure.ts'
import { receiverProblem } from './delivery/receiver.ts'
import { DeliverySender } from './delivery/sender.ts'
import { SigningSecrets } from './delivery/signing-secrets.ts'
import { sseRoute } from './delivery/sse.ts'
import { webSocketRoute } from './delivery/websocket.ts'
import { LiveEvents } from './events/live.ts'
import { createApp, createProbeApp } from './http/app.ts'
import type { AppDeps, ProbeDeps } from './http/deps.ts'
import { ensureFirstKey } from './http/first-key.ts'
import { listen } from './http/listen.ts'
import { signingWords } from './known-secrets.ts'
import { Metrics } from './metrics.ts'
import { measureQueue, oldestWaitMs } from './queue/depth.ts'
import { WorkQueue } from './queue/work-queue.ts'
import { DiskFloor } from './runner/disk-floor.ts'
import { environmentLimitsOf } from './runner/limits.ts'
import { toolNames } from './runner/toolbox.ts'
import { Worker } from './runner/worker.ts'
import { makeInDataDirectory } from './sandbox/directories.ts'
import { archiveAgent, changeAgent, createAgent } from './sessions/agents.ts'
import {
  archiveEnvironment,
  changeEnvironment,
  createEnvironment,
} from './sessions/environments.ts'
import { AuditWriter } from './store/audit-writer.ts'
import { deliveriesChannel, newSecretHint } from './store/deliveries.ts'
import { givenUpEndpoints } from './store/endpoints.ts'
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
import type { ScheduleDeps } from './tasks/schedule-order.ts'
import { changeSchedule, createSchedule, fireNow } from './tasks/schedules.ts'
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
export async function buildServer(o: BuildOptions): Promise<Server> {
  const { config, clock, log, scrubber, roles = { http: true, worker: true } } = o
  const metrics = new Metrics()
  await using opened = new AsyncDisposableStack()
  const dataDir = resolve(config.dataDir)
  await makeInDataDirectory(dataDir, 'sessions')
  // Asked first and awaited last: package managers take a second to say where their registry is.
  const egress = roles.worker ? egressOf(o) : null
  egress?.catch(() => undefined) // A start that fails before the await below has its own reason.
  // The store first: it says better that another server has the same directory.
  const store = opened.use(await openStore({ ...o, dataDir, databaseUrl: config.databaseUrl }))
  const audit = opened.use(new AuditWriter({ store, clock, log, scrubber }))
  const shared = { dataDir, audit, metrics, opened }
  const runner = egress && (await openRunner(o, { ...shared, egress }))
  await seedAgents({ store, clock })
  await seedEnvironment({ store, clock })
  const live = opened.use(await LiveEvents.open({ store, log, clock }))
  const queue = opened.use(await WorkQueue.open({ store, clock, log, node: store.node }))
  const { sender, signing } = await openSender(o, { store, metrics, opened })
  const disk = new DiskFloor({
    ...{ ...o, directory: dataDir, floorBytes: config.diskFloorBytes, metrics },
  })
  const tasks = tasksOf({ ...o, store, queue, metrics })
  const schedules: ScheduleDeps = { store, queue, clock, metrics, ...tasks }
  const alerts = opened.use(alertsOf({ ...o, store, disk, runner, audit, metrics }))
  const draining = new AbortController()
  const probes: ProbeDeps = {
    ...{ store, clock, log, scrubber, version, metrics },
    measureStore: () => measureStore(store, { metrics, clock }),
    health: {
      queueReady: () => queue.ready(),
      sandbox: () => runner?.report ?? null,
      modelConfigured: config.model.headers !== null,
      alerts: () => alerts.list(),
      disk: () => disk.look(),
      memory: () => runner?.memory.look() ?? null,
    },
  }
  const appDeps: AppDeps = {
    ...probes,
    tasks,
    agents: agentsOf(store, o),
    environments: environmentsOf(store, clock),
    schedules: scheduleRoutesOf(schedules),
    endpoints: endpointsOf(store, o, signing),
    repositories: {
      create: (trx, given, caller) => createRepository(trx, { clock }, given, caller),
      change: (id, patch) => changeRepository({ store, clock }, id, patch),
    },
    mount: (app) => {
      const readers = { store, live, clock, log, metrics, signal: draining.signal }
      sseRoute(readers)(app)
      webSocketRoute(readers)(app)
    },
  }
  const app = roles.http ? createApp(appDeps) : createProbeApp(probes)
  const mintedKey = roles.http ? await firstKeyOf(o, store) : null
  const listening = opened.use(await listen(app, { ...config, clock }))
  const publicUrl = config.publicUrl ?? new URL(listening.url)
  const worker =
    runner &&
    opened.use(
      new Worker({
        ...runner,
        ...{ config, store, queue, live, audit, dataDir, clock, log, metrics, schedules, disk },
        ...{ node: store.node, version, publicUrl },
      }),
    )
  // First of all when the server stops: streams end, so that closing need not wait for readers.
  opened.defer(() => draining.abort())
  if (roles.http) sender.start()
  else sender.keepDates()
  alerts.start()
  if (worker !== null) await worker.start()
  const closing = opened.move()
  return {
    url: listening.url,
    mintedKey,
    modelConfigured: config.model.headers !== null,
    lost: store.lost,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

function alertsOf(
  o: BuildOptions & {
    readonly store: Store
    readonly disk: DiskFloor
    /** Null: no task runs here. */
    readonly runner: Runner | null
    readonly audit: AuditWriter
    readonly metrics: Metrics
  },
): Alerts {
  const { config, store, disk, runner, audit, clock } = o
  const conditions = conditionsOf({
    oldestWaitMs: () => oldestWaitMs(store.db),
    queueWaitMs: config.queueWaitAlertMs,
    disk: () => disk.look(),
    memory: () => runner?.memory.look() ?? null,
    isAuditBehind: () => audit.isBehind,
    modelLimitedUntil: () => runner?.breaker.closedUntil ?? null,
    givenUpEndpoints: () => givenUpEndpoints(store.db, 3),
    clock,
  })
  return new Alerts({ ...o, conditions })
}

/** The server's version, from its package. */
export const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')))

function agentsOf(
  store: Store,
  { config, clock }: BuildOptions,
): Parameters<typeof createApp>[0]['agents'] {
  return {
    policy: { tools: toolNames(config) },
    create: (trx, content, caller) => createAgent(trx, { clock }, content, caller),
    change: (change, caller) => changeAgent({ store, clock }, change, caller),
    archive: (id) => archiveAgent({ store, clock }, id),
  }
}

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
}: BuildOptions & {
  readonly store: Store
  readonly queue: WorkQueue
  readonly metrics: Metrics
}): Parameters<typeof createApp>[0]['tasks'] {
  const limits = environmentLimitsOf(config)
  const deps = { queue, clock, limits }
  return {
    policy: policyOf(config, clock),
    create: (trx, order, caller, o) => createTask(trx, deps, order, caller, o),
    cancel: (id, caller) => cancelTask({ store, queue, clock, metrics }, id, caller),
    delete: (id) => deleteTask({ store, clock }, id),
    answer: (trx, o) => answerApproval(trx, { queue, clock }, o),
    say: (trx, o) => sendMessage(trx, { queue, clock }, o),
  }
}

function scheduleRoutesOf(deps: ScheduleDeps): Parameters<typeof createApp>[0]['schedules'] {
  return {
    create: (trx, content, caller) => createSchedule(trx, deps, content, caller),
    change: (o) => changeSchedule(deps, o),
    fireNow: (trx, o) => fireNow(trx, deps, o),
  }
}

async function firstKeyOf(
  { config, clock, scrubber }: BuildOptions,
  store: Store,
): Promise<string | null> {
  const minted = await ensureFirstKey({ store, clock }, config.apiKey)
  if (minted !== null) scrubber.learn([minted])
  return minted
}

function endpointsOf(
  store: Store,
  { config, clock }: BuildOptions,
  signing: SigningSecrets,
): Parameters<typeof createApp>[0]['endpoints'] {
  const deps = { store, clock }
  return {
    problem: (url) => receiverProblem({ url, allow: config.callbackAllow }),
    create: (trx, given, caller) => createEndpoint(trx, deps, given, caller),
    change: (id, patch) => changeEndpoint(deps, id, patch),
    rotate: (id) => rotateEndpoint(deps, id),
    hideSecrets: () => signing.look(),
    test: (endpoint, caller) => testEndpoint(deps, endpoint, caller),
  }
}

/** Sends what is written, by whichever node, as soon as it is. */
async function openSender(
  { config, clock, log, scrubber }: BuildOptions,
  o: {
    readonly store: Store
    readonly metrics: Metrics
    readonly opened: AsyncDisposableStack
  },
): Promise<{ readonly sender: DeliverySender; readonly signing: SigningSecrets }> {
  const { store, metrics, opened } = o
  const { callbackSecrets: given } = config
  const secrets =
    given.length > 0 ? given : [await putSettingIfAbsent(store.db, 'callback_secret', mintSecret())]
  scrubber.learn(secrets.flatMap(signingWords))
  const allow = config.callbackAllow
  const sender = opened.use(new DeliverySender({ store, clock, log, metrics, secrets, allow }))
  const channel = deliveriesChannel
  const signing = opened.use(new SigningSecrets({ store, scrubber, clock, log }))
  const onHint = (payload: string | null): void => {
    if (payload === null || payload === newSecretHint) void signing.look()
    sender.poke()
  }
  opened.use(await Listener.open({ store, channel, log, clock, onHint }))
  await signing.look()
  return { sender, signing }
}

async function measureStore(
  { db }: Store,
  o: { readonly metrics: Metrics; readonly clock: Clock },
): Promise<void> {
  await measureQueue(db, o.metrics)
  await measureDeliveries(db, o)
}

function policyOf(config: Config, clock: Clock): OrderPolicy {
  return orderPolicy({
    gitHubOrigin: config.github.url.origin,
    allowPrivate: config.gatewayAllowPrivate,
    callbackAllow: config.callbackAllow,
    clock,
  })
}
