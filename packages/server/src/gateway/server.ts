import { chmod, chown, lstat, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { PriceTable } from '../prices/price-table.ts'
import { Answers } from './answers.ts'
import { routeModel } from './anthropic.ts'
import { Bodies } from './bodies.ts'
import { BoundedRequests, requestPiecesMax } from './bounded-requests.ts'
import { Breaker } from './breaker.ts'
import { routeConnect } from './connect.ts'
import { askedOf, type RouteContext } from './context.ts'
import { Decisions } from './decisions.ts'
import { ExchangeRecord } from './exchange-record.ts'
import { routeGit } from './git.ts'
import { gitHubApiHost, routeGitHub } from './github-route.ts'
import { Lookups } from './lookups.ts'
import { routeMcp } from './mcp.ts'
import { Meter } from './meter.ts'
import { routePlainHttp } from './plain-http.ts'
import type { Budget, Denial, GatewayHooks, GatewayPolicy } from './policy.ts'
import { refuse, refuseSocket } from './refuse.ts'
import type { Lookup } from './resolve.ts'
import { routeSecret } from './secret.ts'
import { TinyPieces } from './tiny-pieces.ts'
import { answerPiecesMax } from './upstream.ts'

/** Package managers open dozens; one session needs no more. */
const connectionsMax = 128
const headerBytesMax = 32 * 1024
/** What an entry says of what is not HTTP. */
const askedCharsMax = 200
/** Headers come from the same machine. */
const headersMs = 10_000
/** A whole request with its body: a push of the largest size over a slow disk. */
const requestMs = 30 * 60_000
/** Longer than the slowest route waits for its upstream. */
const socketIdleMs = 12 * 60_000
/** What runs when the gateway closes only has to notice and record what it cost. */
const closeMs = 2_000

interface GatewayOptions {
  readonly socketPath: string
  /** The uid the sandbox runs as, which alone may connect; null: the server's own. */
  readonly ownerUid: number | null
  readonly policy: GatewayPolicy
  readonly hooks: GatewayHooks
  readonly budget: Budget
  /** Of money that others spend as well; asked after the session's own budget. */
  readonly allow?: Meter['admit']
  /** Absent: the list prices of the house. */
  readonly prices?: PriceTable
  /** Of the model's credential, shared by all who have it; absent: nobody else has. */
  readonly breaker?: Breaker
  /** Of all sessions of the process; absent: this is the only one. */
  readonly bodies?: Bodies
  /** The same. */
  readonly answers?: Answers
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** The same; with it goes nothing else. */
  readonly lookups?: Lookups
  /** Instead of the system's resolver. */
  readonly lookup?: Lookup
}

/**
 * Opens the only way out of one session's sandbox: plain HTTP on a unix socket, which is the
 * session's identity. Takes over a socket that a crash left behind; throws if the path is taken by
 * anything else or cannot be listened on.
 */
export async function openGateway(o: GatewayOptions): Promise<Gateway> {
  await removeStale(o.socketPath)
  const gateway = new Gateway(o)
  try {
    await gateway.listen(o)
  } catch (error) {
    await gateway[Symbol.asyncDispose]()
    throw error
  }
  return gateway
}

/** An open gateway. Disposing destroys every connection and leaves no handle behind. */
export class Gateway implements AsyncDisposable {
  readonly #context: Omit<RouteContext, 'record'>
  readonly #decisions: Decisions
  /** Bytes of each connection that an entry has already. */
  readonly #counted = new WeakMap<Socket, { read: number; written: number }>()
  readonly #server: Server
  readonly #meter: Meter
  /** Its own, if it has no others'. */
  readonly #bodies: Bodies | null
  readonly #stop = new AbortController()
  readonly #sockets = new Set<Socket>()
  readonly #running = new Set<Promise<void>>()

  constructor(o: Omit<GatewayOptions, 'socketPath' | 'ownerUid'>) {
    const { policy, hooks, clock, log, metrics } = o
    this.#meter = new Meter({ budget: o.budget, clock })
    this.#decisions = new Decisions({ hooks, clock })
    const bodies = o.bodies ?? new Bodies(o)
    this.#bodies = o.bodies === undefined ? bodies : null
    this.#context = {
      policy,
      hooks,
      clock,
      breaker: o.breaker ?? new Breaker(o),
      bodies: bodies.ofSession(),
      answers: (o.answers ?? new Answers()).ofSession(),
      log,
      metrics,
      meter: this.#meter,
      prices: o.prices ?? new PriceTable(),
      answerPieces: new TinyPieces({ clock, piecesMax: answerPiecesMax }),
      signal: this.#stop.signal,
      ...(o.allow === undefined ? {} : { allow: o.allow }),
      lookup: (o.lookups ?? new Lookups(o)).ofSession(),
    }
    this.#server = this.#createServer()
  }

  /** What the session's model requests cost so far, earlier attempts included, in US dollars. */
  get spentUsd(): number {
    return this.#meter.spentUsd
  }

  async listen(o: { socketPath: string; ownerUid: number | null }): Promise<void> {
    const listening = Promise.withResolvers<void>()
    this.#server.once('error', listening.reject)
    this.#server.listen(o.socketPath, listening.resolve)
    await listening.promise
    // Until here only the server's own uid could connect: the umask leaves others no write bit.
    await chmod(o.socketPath, 0o600)
    if (o.ownerUid !== null && process.getuid?.() === 0) await chown(o.socketPath, o.ownerUid, -1)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the gateway is closed'))
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    for (const socket of this.#sockets) socket.destroy()
    const settled = Promise.allSettled(this.#running)
    await Promise.race([settled, this.#context.clock.sleep(closeMs)])
    this.#decisions[Symbol.dispose]()
    await this.#bodies?.[Symbol.asyncDispose]()
    await closed
  }

  #createServer(): Server {
    const { clock } = this.#context
    const pieces = new TinyPieces({ clock, piecesMax: requestPiecesMax })
    const requests = new BoundedRequests({
      onRefused: (socket, why) => this.#refuseConnection(socket, why),
      piecesOf: () => pieces,
    })
    pieces.onFlood(() => requests.cut())
    const server = createServer({
      ...requests.options,
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: headersMs,
    })
    server.maxConnections = connectionsMax
    server.timeout = socketIdleMs
    server.on('connection', (socket) => {
      requests.track(socket)
      this.#track(socket)
    })
    server.on('request', (request, response) => this.#request(request, response))
    server.on('connect', (request, socket, head) => this.#connect(request, socket, head))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      this.#notHttp(error, socket as Socket),
    )
    return server
  }

  /** What is told of a connection that is destroyed for what it sends. */
  #refuseConnection(socket: Socket, why: string): void {
    const record = new ExchangeRecord(this.#decisions)
    record.refused({ route: 'gateway', host: '', port: 0, why })
    record.adds(this.#bytesOf(socket))
    record.end()
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    if (request.socket.destroyed) return
    const record = new ExchangeRecord(this.#decisions)
    const context = { ...this.#context, record }
    this.#run(this.#route(context, { request, response }), () => {
      // What the route did not read is thrown away, so that the client reads its answer.
      request.resume()
      if (!response.writableEnded) response.destroy()
      record.adds(this.#bytesOf(request.socket))
      record.end()
    })
  }

  #route(
    context: RouteContext,
    o: { request: IncomingMessage; response: ServerResponse },
  ): Promise<void> {
    const url = o.request.url ?? ''
    if (context.hooks.isAuditBehind()) {
      context.record.refused(behind)
      return refuse(o.response, { status: 503, sentence: behind.why })
    }
    if (url.startsWith('/') && o.request.headers.host === gitHubApiHost)
      return routeGitHub(context, o)
    if (url.startsWith('/anthropic/')) return routeModel(context, o)
    if (url.startsWith('/git/')) return routeGit(context, o)
    if (url.startsWith('/mcp/')) return routeMcp(context, o)
    if (url.startsWith('/secret/')) return routeSecret(context, o)
    if (url.startsWith('/')) return this.#unknown(context, o)
    return routePlainHttp(context, o)
  }

  #connect(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (socket.destroyed) return
    const record = new ExchangeRecord(this.#decisions)
    const context = { ...this.#context, record }
    if (context.hooks.isAuditBehind()) {
      record.refused(behind)
      record.end()
      refuseSocket(socket, { status: '503 Service Unavailable', sentence: behind.why })
      return
    }
    const onUpstream = (upstream: Socket): void => this.#track(upstream)
    this.#run(routeConnect(context, { request, socket, head, onUpstream }), () => {
      if (!socket.writableEnded) socket.destroy()
      record.end()
    })
  }

  /** What no route ever sees; a client that merely went away tried nothing. */
  #notHttp(error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Socket): void {
    const sentence = 'That is not HTTP.'
    const { code = '', rawPacket } = error
    if (/^(HPE|ERR_HTTP)_/.test(code) && !socket.writableEnded) {
      const record = new ExchangeRecord(this.#decisions)
      const denial = { route: 'gateway', host: '', port: 0, why: sentence } as const
      record.refused(denial, { asked: firstLineOf(rawPacket), error: code })
      record.adds(this.#bytesOf(socket))
      record.end()
    }
    refuseSocket(socket, { status: '400 Bad Request', sentence })
  }

  /** What went over a connection since the request before: bodies and headers, both ways. */
  #bytesOf(socket: Socket): { bytes_in: number; bytes_out: number } {
    const { bytesRead: read, bytesWritten: written } = socket
    const before = this.#counted.get(socket) ?? { read: 0, written: 0 }
    this.#counted.set(socket, { read, written })
    return { bytes_in: written - before.written, bytes_out: read - before.read }
  }

  async #unknown(context: RouteContext, o: { response: ServerResponse }): Promise<void> {
    const sentence =
      'The gateway has the routes /anthropic, /git, /mcp and /secret, and is an HTTP proxy.'
    const denial = { route: 'gateway', host: '', port: 0, why: sentence } as const
    context.record.refused(denial, { asked: askedOf(o.response.req) })
    await refuse(o.response, { status: 403, sentence })
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  /** A route that throws (its client went away, or we are wrong) ends its own connection only. */
  #run(route: Promise<void>, after: () => void): void {
    const done = route
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted)
          this.#context.log.info({ err: error }, 'a route ended early')
      })
      .finally(() => {
        after()
        this.#running.delete(done)
      })
    this.#running.add(done)
  }
}

const behind: Denial = {
  ...{ route: 'gateway', host: '', port: 0 },
  why: 'The audit cannot be written now, so nothing is let out; try again in a moment.',
}

/** As far as it is ASCII that can be printed. */
function firstLineOf(bytes: Buffer = Buffer.alloc(0)): string {
  const [line = ''] = bytes
    .subarray(0, askedCharsMax)
    .toString('latin1')
    .split(/[\r\n]/, 1)
  return line.replaceAll(/[^ -~]/g, '?')
}

/** A socket left by a killed server is removed; anything else at the path is not ours to remove. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (found === null) return
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket.`)
  await rm(path)
}
