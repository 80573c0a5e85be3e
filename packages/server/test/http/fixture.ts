import assert from 'node:assert/strict'
import type { SandboxReport } from '@longhaul/client/contract'
import { type Clock, systemClock } from '../../src/clock.ts'
import { type HostPort, loadConfig } from '../../src/config.ts'
import { measureDeliveries } from '../../src/delivery/measure.ts'
import { receiverProblem } from '../../src/delivery/receiver.ts'
import { sseRoute } from '../../src/delivery/sse.ts'
import { webSocketRoute } from '../../src/delivery/websocket.ts'
import { LiveEvents } from '../../src/events/live.ts'
import type { Lookup } from '../../src/gateway/resolve.ts'
import { createApp } from '../../src/http/app.ts'
import type { AppDeps } from '../../src/http/deps.ts'
import type { App } from '../../src/http/env.ts'
import { createKey } from '../../src/http/first-key.ts'
import { createLog, type Log } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { measureQueue } from '../../src/queue/depth.ts'
import { WorkQueue } from '../../src/queue/work-queue.ts'
import { environmentLimitsOf } from '../../src/runner/limits.ts'
import { toolNames } from '../../src/runner/toolbox.ts'
import { archiveAgent, changeAgent, createAgent } from '../../src/sessions/agents.ts'
import {
  archiveEnvironment,
  changeEnvironment,
  createEnvironment,
} from '../../src/sessions/environments.ts'
import type { Store } from '../../src/store/open.ts'
import { answerApproval } from '../../src/tasks/answer.ts'
import { cancelTask } from '../../src/tasks/cancel.ts'
import { createTask } from '../../src/tasks/create.ts'
import { deleteTask } from '../../src/tasks/delete.ts'
import {
  changeEndpoint,
  createEndpoint,
  rotateEndpoint,
  testEndpoint,
} from '../../src/tasks/endpoints.ts'
import { fireDue } from '../../src/tasks/fire.ts'
import { sendMessage } from '../../src/tasks/messages.ts'
import { orderPolicy } from '../../src/tasks/policy.ts'
import { changeRepository, createRepository } from '../../src/tasks/repositories.ts'
import type { ScheduleDeps } from '../../src/tasks/schedule-order.ts'
import { changeSchedule, createSchedule, fireNow } from '../../src/tasks/schedules.ts'
import { startPostgres } from '../support/postgres.ts'

/** The real app over a real store and queue, with one key, and without a worker. */
export interface TestApp extends AsyncDisposable {
  readonly app: App
  readonly store: Store
  readonly live: LiveEvents
  readonly key: string
  readonly metrics: Metrics
  /** Ends every stream, as the server's drain does. */
  readonly drain: AbortController
  /** Sends a request with the key; a body that is neither text nor bytes is sent as JSON. */
  send(method: string, path: string, o?: Sent): Promise<Response>
  /** The JSON of an answer that has this status; any other is the test's failure. */
  ask<T>(status: number, method: string, path: string, o?: Sent): Promise<T>
  /** What a worker does every second; `more`: what is other for that of a second node. */
  fireDue(more?: Partial<ScheduleDeps>): Promise<void>
  /** Orders a task and answers its ids. */
  order(given?: object): Promise<{ id: string; session_id: string }>
}

export interface Sent {
  readonly body?: unknown
  readonly headers?: Record<string, string>
  /** Another key than that of the app. */
  readonly key?: string
}

export async function openTestApp(
  o: {
    readonly log?: Log
    readonly streamsMax?: number
    readonly socketsMax?: number
    readonly clock?: Clock
    /** Time of the streams alone. */
    readonly streamClock?: Clock
    /** Receivers that may be private. */
    readonly callbackAllow?: readonly HostPort[]
    /** Of receivers' names; without it each leads to one public address. */
    readonly lookup?: Lookup
  } = {},
): Promise<TestApp> {
  await using opened = new AsyncDisposableStack()
  const { clock = systemClock, callbackAllow = [], lookup = somewhere } = o
  const log = o.log ?? createLog('silent')
  const metrics = new Metrics()
  const postgres = opened.use(await startPostgres())
  const store = opened.use(await postgres.openStore())
  const live = opened.use(await LiveEvents.open({ store, log, clock }))
  const queue = opened.use(await WorkQueue.open({ store, clock, log, node: store.node }))
  const limits = environmentLimitsOf(loadConfig({}))
  const drain = new AbortController()
  const { streamsMax, socketsMax, streamClock = clock } = o
  const readers = { store, live, clock: streamClock, log, metrics, signal: drain.signal }
  const mount = (app: App): void => {
    sseRoute({ ...readers, ...(streamsMax !== undefined && { streamsMax }) })(app)
    webSocketRoute({ ...readers, ...(socketsMax !== undefined && { socketsMax }) })(app)
  }
  const tasks: AppDeps['tasks'] = {
    policy: orderPolicy({
      gitHubOrigin: 'https://github.com',
      allowPrivate: [],
      callbackAllow,
      clock,
    }),
    create: (trx, order, caller, o) => createTask(trx, { queue, clock, limits }, order, caller, o),
    cancel: (id, caller) => cancelTask({ store, queue, clock, metrics }, id, caller),
    delete: (id) => deleteTask({ store, clock }, id),
    answer: (trx, o) => answerApproval(trx, { queue, clock }, o),
    say: (trx, o) => sendMessage(trx, { queue, clock }, o),
  }
  const schedules: ScheduleDeps = { store, queue, clock, metrics, ...tasks }
  const app = createApp({
    ...{ store, clock, log, metrics, version: '0.0.0-test', mount },
    measureStore: async () => {
      await measureQueue(store.db, metrics)
      await measureDeliveries(store.db, { metrics, clock })
    },
    tasks,
    agents: {
      policy: { tools: toolNames({ tools: [], docker: null }) },
      create: (trx, content, caller) => createAgent(trx, { clock }, content, caller),
      change: (o, caller) => changeAgent({ store, clock }, o, caller),
      archive: (id) => archiveAgent({ store, clock }, id),
    },
    environments: {
      create: (trx, content, caller) => createEnvironment(trx, { clock }, content, caller),
      change: (o, caller) => changeEnvironment({ store, clock }, o, caller),
      archive: (id) => archiveEnvironment({ store, clock }, id),
    },
    schedules: {
      create: (trx, content, caller) => createSchedule(trx, schedules, content, caller),
      change: (o) => changeSchedule(schedules, o),
      fireNow: (trx, o) => fireNow(trx, schedules, o),
    },
    repositories: {
      create: (trx, given, caller) => createRepository(trx, { clock }, given, caller),
      change: (id, patch) => changeRepository({ store, clock }, id, patch),
    },
    endpoints: {
      problem: (url) => receiverProblem({ url, allow: callbackAllow, lookup }),
      create: (trx, given, caller) => createEndpoint(trx, { clock }, given, caller),
      change: (id, patch) => changeEndpoint({ store, clock }, id, patch),
      rotate: (id) => rotateEndpoint({ store, clock }, id),
      hideSecrets: async () => {},
      test: (endpoint, caller) => testEndpoint({ store, clock }, endpoint, caller),
    },
    health: { ...healthy, queueReady: () => queue.ready() },
  })
  const key = await createKey({ store, clock }, { name: 'tests' })
  const closing = opened.move()

  async function send(method: string, path: string, sent: Sent = {}): Promise<Response> {
    const { body, key: sender = key } = sent
    return await app.request(path, {
      method,
      headers: {
        authorization: `Bearer ${sender}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...sent.headers,
      },
      ...(body !== undefined && { body: bodyOf(body) }),
    })
  }

  return {
    ...{ app, store, live, key, drain, send, metrics },
    async ask<T>(status: number, method: string, path: string, sent?: Sent) {
      const answer = await send(method, path, sent)
      const text = await answer.text()
      assert.equal(answer.status, status, text)
      return JSON.parse(text) as T
    },
    fireDue: (more) => fireDue({ ...schedules, ...more, log }),
    async order(given = {}) {
      const answer = await send('POST', '/v1/tasks', { body: { ...order, ...given } })
      return JSON.parse(await answer.text())
    },
    async [Symbol.asyncDispose]() {
      drain.abort()
      await closing.disposeAsync()
    },
  }
}

const somewhere: Lookup = async () => [{ address: '93.184.215.14', family: 4 }]

function bodyOf(body: unknown): string | Uint8Array<ArrayBuffer> {
  if (typeof body === 'string') return body
  return body instanceof Uint8Array ? Uint8Array.from(body) : JSON.stringify(body)
}

const walls: SandboxReport = {
  ok: true,
  problem: null,
  driver: 'bubblewrap',
  isolates: {
    files_hidden: true,
    root_sealed: true,
    processes_hidden: true,
    network_absent: true,
    namespaces_separate: true,
    settings_read_only: true,
    privileges_refused: true,
    user_namespaces_refused: true,
    system_calls_filtered: true,
    uid_separate: true,
  },
  limits: { memory: 'cgroup2', cpu: 'cgroup2', processes: 'cgroup2', disk: 'image' },
  tools: [{ name: 'bwrap', version: '0.8.0' }],
  gaps: [],
  not_run: [],
}

/** What `/health` is told when all is well. */
export const healthy: Omit<AppDeps['health'], 'sandbox'> & {
  readonly sandbox: () => SandboxReport
} = {
  queueReady: () => true,
  sandbox: () => walls,
  modelConfigured: true,
  alerts: () => [],
  disk: () => Promise.resolve({ freeBytes: 2 ** 40, floorBytes: 2 ** 30, problem: null }),
  memory: () => null,
}

/** The least that `/v1/tasks` takes. */
export const order = {
  type: 'refactor',
  repo_url: 'https://github.com/acme/app',
  instructions: 'Rename foo to bar.',
}

/** The least that `/api/workflows` takes. */
export const workflowOrder = {
  type: 'refactor',
  repoUrl: 'https://github.com/acme/app',
  instructions: 'Rename foo to bar.',
}
