import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import type { ErrorBody } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { BoundedRequests, requestPiecesMax } from '../gateway/bounded-requests.ts'
import { TinyPieces } from '../gateway/tiny-pieces.ts'
import { newId } from '../ids.ts'
import type { App } from './env.ts'

/** A listening server. Disposing it takes no new requests and waits for the running ones. */
export interface Listening extends AsyncDisposable {
  /** `http://host:port`, with the port that was really taken. */
  readonly url: string
}

/** Milliseconds for a request to arrive whole: 1 MiB over a slow line. */
const requestMsMax = 60_000
const headersMsMax = 20_000
/** Bytes of a request's target and headers together. */
const headBytesMax = 16 * 1024
/** Milliseconds that running requests get when the server closes; streams end by their own signal. */
const closeMsMax = 5000

/** Binds the app to an address. Rejects when the address is taken or not ours. */
export async function listen(
  app: App,
  o: { readonly host: string; readonly port: number; readonly clock: Clock },
): Promise<Listening> {
  // The listener would put its own Request and Response in place of the global ones: for everyone.
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    hostname: o.host,
    // A target that is no path (`OPTIONS *`), or a host that is none: the app never sees them.
    errorHandler: () => Response.json(refusalBody(notHttp, o.clock), { status: 400 }),
  })
  let closing = false
  const requests = new BoundedRequests({
    onRefused: () => undefined,
    // Of each request by itself: callers know nothing of each other.
    piecesOf: () => new TinyPieces({ clock: o.clock, piecesMax: requestPiecesMax }),
  })
  const server = createServer(
    // Node would answer a request without a host by itself, in a form of its own.
    {
      ...{ requestTimeout: requestMsMax, headersTimeout: headersMsMax },
      ...{ maxHeaderSize: headBytesMax, requireHostHeader: false },
      ...requests.options,
    },
    (incoming, outgoing) => {
      if (incoming.socket.destroyed) return
      if (incoming.headers.host === undefined && incoming.httpVersion !== '1.0') {
        refuse(incoming.socket, o.clock)
        return
      }
      // A connection that is kept alive would hold a closing server until it times out.
      outgoing.once('close', () => closing && setImmediate(() => server.closeIdleConnections()))
      void listener(incoming, outgoing)
    },
  )
  server.on('connection', (socket) => requests.track(socket))
  const upgraded = new Set<Socket>()
  server.on('upgrade', (incoming, socket, head) => {
    if (!(socket instanceof Socket)) throw new Error('not a connection of this server')
    if (socket.destroyed) return
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    void listener(incoming, responseOn(socket, incoming, head))
  })
  server.on('clientError', (error, socket) => refuse(socket, o.clock, error))
  await bound(server, o)
  return {
    url: urlOf(server, o.host),
    [Symbol.asyncDispose]() {
      closing = true
      return close(server, o.clock, upgraded)
    },
  }
}

function bound(server: Server, o: { readonly host: string; readonly port: number }): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const fail = (error: Error): void =>
    reject(new Error(`Cannot listen on HOST ${o.host}, PORT ${o.port}: ${error.message}.`))
  server.once('error', fail)
  server.listen(o.port, o.host, () => {
    server.off('error', fail)
    resolve()
  })
  return promise
}

/** `upgraded`: connections that are open and that the server no longer counts as its own. */
async function close(server: Server, clock: Clock, upgraded: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  using _timer = clock.after(closeMsMax, () => {
    server.closeAllConnections()
    for (const socket of upgraded) socket.destroy()
  })
  await closed
}

/**
 * The answer to a request for a WebSocket, as to any other: a route may take its connection instead,
 * and if none does the answer is sent and the connection ends.
 */
function responseOn(socket: Socket, incoming: IncomingMessage, head: Buffer): ServerResponse {
  // Bytes that came with the request belong to whoever takes the connection.
  if (head.length > 0) socket.unshift(head)
  // Without a listener a reset would end the process; the response hears of the close.
  socket.on('error', () => socket.destroy())
  const outgoing = new ServerResponse(incoming)
  outgoing.shouldKeepAlive = false
  outgoing.assignSocket(socket)
  outgoing.once('finish', () => socket.destroySoon())
  return outgoing
}

/** Answers what is not HTTP, or did not arrive in time, in the one envelope as well. */
function refuse(socket: Duplex, clock: Clock, error?: Error): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const isTooLarge = error !== undefined && 'code' in error && error.code === 'HPE_HEADER_OVERFLOW'
  const status = isTooLarge ? '431 Request Header Fields Too Large' : '400 Bad Request'
  const body = refusalBody(isTooLarge ? headTooLarge : notHttp, clock)
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\nrequest-id: ${body.request_id}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}

const headTooLarge = `The request's target and headers are too large: expected at most ${headBytesMax} bytes together.`
const notHttp = 'The request is not HTTP, or came too slowly.'

function refusalBody(message: string, clock: Clock): ErrorBody {
  return {
    type: 'error',
    error: { type: 'invalid_request_error', message },
    request_id: newId('req', clock),
  }
}

function urlOf(server: Server, host: string): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const { port } = address
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
