import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

/**
 * Headers cross the gateway by name, never wholesale: what is not listed does not pass, so no
 * credential that something in the sandbox sends can ever take the place of the real one.
 */
export function pickHeaders(
  headers: IncomingHttpHeaders,
  names: readonly string[],
): OutgoingHttpHeaders {
  return Object.fromEntries(
    names.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  )
}

/**
 * For plain HTTP to an allowed host, where any header may matter: all but those of the connection
 * and those that carry credentials, to the proxy or to the host.
 */
export function forwardableHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = new Set(
    (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()),
  )
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !neverForwarded.has(name) && !name.startsWith('proxy-') && !named.has(name),
    ),
  )
}

/**
 * How long a body is, said as the client said it: Node writes one of DELETE or GET without any framing
 * otherwise, which at the best is lost.
 */
export function framingOf(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  if (headers['transfer-encoding'] !== undefined) return { 'transfer-encoding': 'chunked' }
  const length = headers['content-length']
  return length === undefined ? {} : { 'content-length': length }
}

const neverForwarded = new Set([
  'authorization',
  'connection',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-api-key',
])
