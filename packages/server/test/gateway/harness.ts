import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Bodies } from '../../src/gateway/bodies.ts'
import type { Breaker } from '../../src/gateway/breaker.ts'
import type { Lookups } from '../../src/gateway/lookups.ts'
import type { Decision, Denial, GatewayHooks, GatewayPolicy } from '../../src/gateway/policy.ts'
import type { Lookup } from '../../src/gateway/resolve.ts'
import { type Gateway, openGateway } from '../../src/gateway/server.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import type { PriceTable } from '../../src/prices/price-table.ts'
import { until as untilSo } from '../support/until.ts'

export const log = createLog('silent')

export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway
  readonly metrics: Metrics
  readonly socketPath: string
  readonly uses: Parameters<GatewayHooks['onUsage']>[0][]
  readonly refusals: Parameters<GatewayHooks['onRefused']>[0][]
  readonly denials: (Denial & { count: number })[]
  readonly decisions: Decision[]
  /** When the provider is back, as the owner was told. */
  readonly quotas: readonly number[]
  /** Answers that were given up for their silence, as the owner was told. */
  readonly silences: readonly string[]
  readonly comments: Parameters<GatewayHooks['onCommented']>[0][]
  ask(o: Ask): Promise<Answer>
}

export interface Ask {
  readonly path: string
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export const nothing: GatewayPolicy = {
  model: null,
  git: null,
  github: null,
  mcp: [],
  secrets: [],
  network: 'limited',
  connect: [],
  allowPrivate: [],
}

/** A real gateway on a real socket in a directory of its own. */
export async function startGateway(
  o: {
    policy?: Partial<GatewayPolicy>
    limitUsd?: number | null
    spentUsd?: number
    beforeModelRequest?: GatewayHooks['beforeModelRequest']
    onUsage?: GatewayHooks['onUsage']
    isHeld?: GatewayHooks['isHeld']
    mayPush?: GatewayHooks['mayPush']
    mayComment?: GatewayHooks['mayComment']
    isAuditBehind?: () => boolean
    breaker?: Breaker
    bodies?: Bodies
    lookups?: Lookups
    prices?: PriceTable
    lookup?: Lookup
    clock?: Clock
    /** That of a sandbox, and whose it is; by default one in a directory of its own. */
    socketPath?: string
    ownerUid?: number | null
  } = {},
): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-gateway-'))
  const socketPath = o.socketPath ?? join(directory, 'gateway')
  const uses: TestGateway['uses'] = []
  const refusals: TestGateway['refusals'] = []
  const denials: TestGateway['denials'] = []
  const decisions: Decision[] = []
  const comments: TestGateway['comments'] = []
  const quotas: number[] = []
  const silences: string[] = []
  const metrics = new Metrics()
  const gateway = await openGateway({
    socketPath,
    ownerUid: o.ownerUid ?? null,
    policy: { ...nothing, ...o.policy },
    hooks: {
      beforeModelRequest: o.beforeModelRequest ?? (async () => {}),
      beforeParking: async () => {},
      isHeld: o.isHeld ?? (async () => true),
      mayPush: o.mayPush ?? (async () => null),
      mayComment: o.mayComment ?? (async () => 'Nothing may be commented on.'),
      onCommented: (comment) => comments.push(comment),
      onUsage: async (use) => {
        uses.push(use)
        await o.onUsage?.(use)
      },
      onSilence: (message) => silences.push(message),
      onQuota: (reset) => quotas.push(reset),
      onRefused: (refusal) => refusals.push(refusal),
      onDenied: (denial) => denials.push(denial),
      onDecision: (decision) => decisions.push(decision),
      isAuditBehind: o.isAuditBehind ?? (() => false),
    },
    budget: { limitUsd: o.limitUsd ?? null, spentUsd: o.spentUsd ?? 0 },
    clock: o.clock ?? systemClock,
    log,
    metrics,
    ...(o.breaker === undefined ? {} : { breaker: o.breaker }),
    ...(o.bodies === undefined ? {} : { bodies: o.bodies }),
    ...(o.lookups === undefined ? {} : { lookups: o.lookups }),
    ...(o.prices === undefined ? {} : { prices: o.prices }),
    ...(o.lookup === undefined ? {} : { lookup: o.lookup }),
  })
  return {
    gateway,
    metrics,
    socketPath,
    uses,
    refusals,
    denials,
    decisions,
    comments,
    quotas,
    silences,
    ask: (asked) => ask(socketPath, asked),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** One request over the socket; rejects if the connection breaks. */
export async function ask(socketPath: string, o: Ask): Promise<Answer> {
  const sent = request({
    socketPath,
    path: o.path,
    method: o.method ?? (o.body === undefined ? 'GET' : 'POST'),
    headers: { ...o.headers },
    agent: false,
    ...(o.signal === undefined ? {} : { signal: o.signal }),
  })
  sent.end(o.body)
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return { status: answer.statusCode ?? 0, headers: answer.headers, text }
}

export interface Upstream extends AsyncDisposable {
  readonly url: URL
  readonly port: number
  readonly requests: { method: string; path: string; headers: IncomingHttpHeaders; body: string }[]
}

/** An HTTP server on loopback that records what it was sent; with a certificate, by TLS. */
export async function startUpstream(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => unknown,
  tls?: { readonly cert: string; readonly key: string },
): Promise<Upstream> {
  const requests: Upstream['requests'] = []
  const record = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    requests.push({
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body,
    })
    await answer(request, response, body)
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    record(request, response).catch((error) => response.destroy(error))
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: new URL(`http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`),
    port,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** TCP in front of the socket, as the sandbox has it, for clients that speak TCP only. */
export async function startBridge(socketPath: string): Promise<{ url: string } & AsyncDisposable> {
  const open = new Set<Socket>()
  const server = createNetServer((client) => {
    const inner = connect(socketPath)
    for (const socket of [client, inner]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        open.delete(socket)
        client.destroy()
        inner.destroy()
      })
    }
    client.pipe(inner).pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}

/** Sends bytes as they are and gives everything that comes back until the other side ends. */
export async function askRaw(socketPath: string, bytes: string): Promise<string> {
  const socket = connect(socketPath)
  socket.write(bytes)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Waits until `condition` holds. */
export function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  return untilSo('what was waited for', condition)
}
