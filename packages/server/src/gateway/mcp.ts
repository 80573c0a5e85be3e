import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { HostPort } from '../config.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { TooManyAnswers } from './answers.ts'
import { BodyTooLarge, bounded, NoRoom } from './body.ts'
import { askedOf, type RouteContext } from './context.ts'
import { pickHeaders } from './headers.ts'
import { NotHeld, requireHeld } from './held.ts'
import { TooManyLookups } from './lookups.ts'
import type { McpUpstream } from './policy.ts'
import { refuse } from './refuse.ts'
import { type Address, AddressRefused, resolveJudged } from './resolve.ts'
import { clientSignal, openRequest } from './upstream.ts'

/** A tool's input, and what it answers. */
const requestBytesMax = 4 * 1024 * 1024
const answerBytesMax = 64 * 1024 * 1024
/** A stream of a server's notices may be silent for long; shorter than the client's own socket may. */
const idleMs = 10 * 60_000

/** Of the streamable HTTP transport (MCP 2025-11-25); no other header passes, in either direction. */
const requestHeaders = [
  'accept',
  'content-type',
  'last-event-id',
  'mcp-protocol-version',
  'mcp-session-id',
]
const answerHeaders = ['cache-control', 'content-type', 'mcp-session-id']
const methods = ['DELETE', 'GET', 'POST']

/**
 * `/mcp/<name>`: an MCP server that the operator declared. The URL is the operator's whole; its
 * credential is added here, and taken out of whatever comes back.
 */
export async function routeMcp(
  context: RouteContext,
  o: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const { request, response } = o
  const name = (request.url ?? '').slice('/mcp/'.length)
  const server = context.policy.mcp.find((each) => each.name === name)
  const method = request.method ?? ''
  if (server === undefined || !methods.includes(method)) {
    const sentence = 'There is no such MCP server here.'
    const denial = { host: 'mcp', port: 0, route: 'mcp', why: sentence } as const
    context.record.denied(denial, { asked: askedOf(request) })
    return refuse(response, { status: 404, sentence })
  }
  const signal = clientSignal(response, context.signal)
  const { host } = server.url
  const target = targetOf(server)
  try {
    using held = context.bodies.hold()
    // A stream of notices may be open for as long as the session is; connections are bounded, too.
    using answer = method === 'GET' ? null : context.answers.begin()
    void answer
    const body = await held.read(request, requestBytesMax)
    const address = await addressOf(context, { target, signal })
    await requireHeld(context, signal)
    context.record.allowed({ ...target, route: 'mcp', details: { server: name, method } })
    const sent = openRequest({
      url: server.url,
      method,
      headers: {
        'user-agent': 'longhaul',
        ...pickHeaders(request.headers, requestHeaders),
        ...server.headers,
        'accept-encoding': 'identity',
        ...(body.length === 0 ? {} : { 'content-length': String(body.length) }),
        ...server.secretHeaders,
      },
      address,
      idleMs,
      clock: context.clock,
      signal,
    })
    sent.request.end(body)
    await relayScrubbed(context, { from: await sent.response, server, response })
  } catch (error) {
    if (error instanceof AddressRefused) {
      context.record.denied({ ...target, route: 'mcp', why: error.message })
      return refuse(response, { status: 403, sentence: error.message })
    }
    const status = statusOf(error)
    if (status !== null) {
      const { message: sentence } = error as Error
      context.record.refused({ ...target, route: 'mcp', why: sentence })
      return refuse(response, { status, sentence })
    }
    context.log.info({ err: error, host }, 'a request to an MCP server failed')
    await refuse(response, { status: 502, sentence: `The MCP server ${name} does not answer.` })
  }
}

/** Of what is refused with its own sentence: but for the first, the same request may pass in a moment. */
function statusOf(error: unknown): number | null {
  if (error instanceof BodyTooLarge) return 413
  if (error instanceof TooManyAnswers || error instanceof TooManyLookups) return 429
  return error instanceof NotHeld || error instanceof NoRoom ? 503 : null
}

function targetOf({ url: { hostname: host, port, protocol } }: McpUpstream): HostPort {
  return { host, port: Number(port || (protocol === 'https:' ? 443 : 80)) }
}

function addressOf(
  { policy, clock, lookup }: RouteContext,
  { target, signal }: { target: HostPort; signal: AbortSignal },
): Promise<Address> {
  const { allowPrivate } = policy
  return resolveJudged({
    ...{ ...target, allowPrivate, clock, signal, lookup },
  })
}

async function relayScrubbed(
  { answers }: RouteContext,
  o: { from: IncomingMessage; server: McpUpstream; response: ServerResponse },
): Promise<void> {
  const { from, server, response } = o
  const status = from.statusCode ?? 502
  const refused = refusalOf(status, from.headers['content-encoding'])
  if (refused !== null) {
    from.destroy()
    return refuse(response, { status: 502, sentence: `The MCP server ${server.name} ${refused}.` })
  }
  const scrubber = new Scrubber(server.secrets)
  const picked = Object.entries(pickHeaders(from.headers, answerHeaders))
  const headers = picked.map(([name, value]) => [name, scrubber.text(String(value))])
  response.writeHead(status, Object.fromEntries(headers))
  response.flushHeaders()
  await pipeline(scrubber.stream(bounded(from, answerBytesMax), answers.inTurn), response)
}

/** A client inside would answer 401 by asking its user to sign in: the credential is the operator's. */
function refusalOf(status: number, encoding: string | undefined): string | null {
  if (status === 401) return 'does not accept the credential that the operator gave'
  if (status >= 300 && status < 400) return 'redirects, which is not followed'
  return (encoding ?? 'identity') === 'identity' ? null : 'used an encoding nobody asked for'
}
