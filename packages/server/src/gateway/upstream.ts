import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../clock.ts'
import type { Address } from './resolve.ts'
import { freePiecesMax, TinyPieces } from './tiny-pieces.ts'

/** A host that does not answer the handshake within this is down. */
export const connectMs = 15_000
/** Tiny pieces of answers within a second: all streams of a session together have some hundred events. */
export const answerPiecesMax = 4000
/** Of answers before the answer (100, 103): a host sends one or two. */
const interimMax = 16
/** About a millisecond of encrypting. */
const pieceBytes = 256 * 1024

/**
 * Opens one request on a connection of its own (so nothing is left over when the gateway closes).
 * `response` rejects on every failure before the answer's headers, on abort, and when nothing
 * moves for `idleMs`; whoever calls this awaits it. Redirects are not followed.
 */
export function openRequest(o: {
  url: URL
  method: string
  headers: OutgoingHttpHeaders
  /** The judged address to dial; null lets the system resolve the host (the operator's own). */
  address: Address | null
  /** A socket of this machine to speak to instead. */
  socketPath?: string
  /** Certificates as PEM, which alone vouch for the host; null: those that Node trusts. Never none. */
  ca?: string | null
  idleMs: number
  /** Those that its answer counts towards; absent: it has a count of its own. Null: it has none. */
  pieces?: TinyPieces | null
  clock: Clock
  signal: AbortSignal
}): { request: ClientRequest; response: Promise<IncomingMessage> } {
  const send = o.url.protocol === 'https:' ? httpsRequest : httpRequest
  const request = send(o.url, {
    method: o.method,
    headers: o.headers,
    agent: false,
    signal: o.signal,
    ...(o.address === null ? {} : { lookup: lookupOf(o.address) }),
    ...(o.socketPath === undefined ? {} : { socketPath: o.socketPath }),
    // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    ...(o.ca === undefined ? {} : { rejectUnauthorized: true }),
    ...(typeof o.ca === 'string' ? { ca: o.ca } : {}),
  })
  request.setTimeout(o.idleMs, () => request.destroy(new Error(`no data for ${o.idleMs} ms`)))
  limitConnect(request, o.clock)
  const answered = Promise.withResolvers<IncomingMessage>()
  const pieces = o.pieces ?? new TinyPieces({ clock: o.clock, piecesMax: answerPiecesMax })
  request.once('response', (answer) => {
    if (o.pieces !== null) limitPieces(request, answer, pieces)
    answered.resolve(answer)
  })
  limitInterim(request)
  // Kept after the answer too: a request that is destroyed later reports it here.
  request.on('error', answered.reject)
  request.once('close', () => answered.reject(new Error('closed before an answer')))
  return { request, response: answered.promise }
}

/**
 * Sends a whole body, piece by piece as the connection takes it: in one piece, TLS would encrypt all of
 * it at once, and 31 MB stop everybody for 60 ms. `response` of openRequest tells what goes wrong.
 */
export function sendBody(request: ClientRequest, bytes: Buffer): void {
  Readable.from(piecesOf(bytes)).pipe(request)
}

function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

/**
 * Streams an answer to the client without buffering, each side waiting for the other. Rejects if
 * either side goes away; the other is destroyed with it.
 */
export async function relay(o: {
  from: IncomingMessage
  to: ServerResponse
  headers: OutgoingHttpHeaders
  /** Before the client is sent the chunk. */
  onChunk?: (chunk: Buffer) => void
  /** Before the client is told that the answer is complete. */
  onEnd?: () => void
}): Promise<void> {
  o.to.writeHead(o.from.statusCode ?? 502, o.headers)
  o.to.flushHeaders()
  await pipeline(
    o.from,
    async function* seen(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        o.onChunk?.(chunk)
        yield chunk
      }
      o.onEnd?.()
    },
    o.to,
  )
}

/** Aborts when the client is gone before its answer is complete, or with `signal`. */
export function clientSignal(response: ServerResponse, signal: AbortSignal): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new Error('the client went away'))
  })
  return AbortSignal.any([signal, gone.signal])
}

/** Answers every resolution with the judged address; Node asks for one or for all. */
function lookupOf(address: Address): LookupFunction {
  return (_host, options, callback) => {
    if (options.all === true) callback(null, [address])
    else callback(null, address.address, address.family)
  }
}

/** Node reads a packet to its end: what comes of it after a cut is thrown away. */
function limitPieces(request: ClientRequest, answer: IncomingMessage, pieces: TinyPieces): void {
  const push = answer.push.bind(answer)
  let count = 0
  let isCut = false
  const cut = (): void => {
    isCut = true
    request.destroy(new Error('the answer comes in too many pieces of a few bytes'))
  }
  const flood = pieces.onFlood(cut)
  answer.once('close', () => flood[Symbol.dispose]())
  answer.push = (piece: unknown, encoding) => {
    count += 1
    if (piece instanceof Uint8Array && count > freePiecesMax) pieces.take(piece)
    return isCut || push(piece, encoding)
  }
}

function limitInterim(request: ClientRequest): void {
  let count = 0
  request.on('information', () => {
    count += 1
    if (count > interimMax) request.destroy(new Error('too many answers before the answer'))
  })
}

function limitConnect(request: ClientRequest, clock: Clock): void {
  request.once('socket', (socket) => {
    const timer = clock.after(connectMs, () =>
      request.destroy(new Error(`no connection within ${connectMs} ms`)),
    )
    socket.once('connect', timer.cancel)
    socket.once('close', timer.cancel)
  })
}
