import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { connect as connectTo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { HostPort } from '../config.ts'
import type { RouteContext } from './context.ts'
import { withLimit } from './limits.ts'
import { TooManyLookups } from './lookups.ts'
import { grants, sentenceOfDenial } from './network.ts'
import { refuseSocket } from './refuse.ts'
import { type Address, AddressRefused, canonicalHost, resolveJudged } from './resolve.ts'
import { runTunnel } from './tunnel.ts'
import { connectMs } from './upstream.ts'

/**
 * CONNECT to a host and port that the policy lists: resolves once, judges, dials the judged
 * address, and pipes both directions until each has ended. Resolves when the tunnel is over.
 */
export async function routeConnect(
  context: RouteContext,
  o: {
    request: IncomingMessage
    socket: Duplex
    head: Buffer
    onUpstream: (socket: Socket) => void
  },
): Promise<void> {
  const gone = new AbortController()
  o.socket.once('close', () => gone.abort(new Error('the client went away')))
  const signal = AbortSignal.any([context.signal, gone.signal])
  // A broken client is an end like any other; the pipes report it.
  o.socket.on('error', () => {})
  const { url: authority = '', headers } = o.request
  const target = parseAuthority(authority)
  if (target === null) {
    const sentence = 'CONNECT needs host:port.'
    context.record.refused({ host: authority, port: 0, route: 'connect', why: sentence })
    return refuseSocket(o.socket, { status: '400 Bad Request', sentence })
  }
  const opened = await openTunnel(context, { target, route: 'connect', headers, signal })
  if ('why' in opened)
    return refuseSocket(o.socket, { status: opened.status, sentence: opened.why })
  const upstream = await dial(context, { address: opened, port: target.port, signal })
  if (upstream === null) {
    const sentence = `${target.host}:${target.port} cannot be reached.`
    return refuseSocket(o.socket, { status: '502 Bad Gateway', sentence })
  }
  o.onUpstream(upstream)
  o.socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
  o.socket.unshift(o.head)
  await runTunnel(context, { target, client: o.socket, upstream })
}

/**
 * The judged address of an allowed host, or why there is none. Shared with plain HTTP, which
 * follows the same list.
 */
export async function openTunnel(
  context: RouteContext,
  o: {
    target: HostPort
    route: 'connect' | 'http'
    headers: IncomingHttpHeaders
    signal: AbortSignal
  },
): Promise<Address | { readonly status: string; readonly why: string }> {
  const { host, port } = o.target
  const { policy, clock, lookup } = context
  const refused = (why: string, address: string | null = null) => {
    const details = address === null ? {} : { address }
    context.record.denied({ host, port, route: o.route, why }, details)
    return { status: '403 Forbidden', why }
  }
  if (!grants(policy, o.target)) return refused(sentenceOfDenial(policy, o.target, o.headers))
  if (!context.record.enters({ route: o.route, host, port })) {
    refused(tooMany)
    return { status: '429 Too Many Requests', why: tooMany }
  }
  try {
    const { allowPrivate } = policy
    const judging = { host, port, allowPrivate, clock, signal: o.signal, lookup }
    const address = await resolveJudged(judging)
    context.record.allowed({ route: o.route, host, port })
    return address
  } catch (error) {
    if (error instanceof AddressRefused) return refused(error.message, error.address)
    if (error instanceof TooManyLookups) {
      context.record.refused({ host, port, route: o.route, why: error.message })
      return { status: '429 Too Many Requests', why: error.message }
    }
    context.log.info({ err: error, host, port }, 'an allowed host has no address')
    const why = `${host} cannot be resolved.`
    context.record.refused({ host, port, route: o.route, why })
    return { status: '502 Bad Gateway', why }
  }
}

/** A host beyond them would stay unnamed in the audit. */
const tooMany =
  'This session has gone to 200 different hosts within a minute, and the audit names no more; try again in a minute.'

/** `host:port` in any spelling; null if it is neither. */
function parseAuthority(authority: string): HostPort | null {
  const [, given = '', digits = ''] =
    /^(\[[^\]]{1,64}\]|[^:]{1,255}):(\d{1,5})$/.exec(authority) ?? []
  const host = given === '' ? null : canonicalHost(given)
  const port = Number(digits)
  return host === null || port < 1 || port > 65_535 ? null : { host, port }
}

async function dial(
  context: RouteContext,
  o: { address: Address; port: number; signal: AbortSignal },
): Promise<Socket | null> {
  const { address, family } = o.address
  const socket = connectTo({ host: address, family, port: o.port, allowHalfOpen: true })
  // Failures show as `close`; whoever holds the socket then finds it destroyed.
  socket.on('error', () => {})
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('close', () => reject(new Error('connection closed')))
  })
  try {
    const limit = { clock: context.clock, ms: connectMs, signal: o.signal, what: 'connecting' }
    await withLimit(limit, () => connected)
    return socket
  } catch {
    // The client is told that the host cannot be reached; which way it failed is no secret of ours.
    socket.destroy()
    return null
  }
}
