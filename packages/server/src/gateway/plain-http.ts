import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { bounded } from './body.ts'
import { openTunnel } from './connect.ts'
import type { RouteContext } from './context.ts'
import { forwardableHeaders, framingOf } from './headers.ts'
import { refuse } from './refuse.ts'
import { canonicalHost } from './resolve.ts'
import { clientSignal, openRequest, relay } from './upstream.ts'

/** Uploads to a package registry are not what this route is for. */
const bodyBytesMax = 64 * 1024 * 1024
const idleMs = 5 * 60_000

/**
 * A request in absolute form (`GET http://host/…`) to a host of the same list that CONNECT
 * follows. Credentials in it do not pass; redirects are the client's to follow, through here.
 */
export async function routePlainHttp(
  context: RouteContext,
  o: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const url = URL.parse(o.request.url ?? '')
  const host = url === null ? null : canonicalHost(url.hostname)
  if (url === null || host === null || url.protocol !== 'http:' || url.username !== '') {
    const sentence = 'Only http:// URLs are taken here.'
    context.record.refused({ host: url?.hostname ?? '', port: 0, route: 'http', why: sentence })
    return refuse(o.response, { status: 400, sentence })
  }
  const signal = clientSignal(o.response, context.signal)
  const target = { host, port: Number(url.port || 80) }
  const { headers } = o.request
  const address = await openTunnel(context, { target, route: 'http', headers, signal })
  if ('why' in address)
    return refuse(o.response, {
      status: Number.parseInt(address.status, 10),
      sentence: address.why,
    })
  const sent = openRequest({
    url,
    method: o.request.method ?? 'GET',
    headers: { ...forwardableHeaders(headers), ...framingOf(headers) },
    address,
    idleMs,
    pieces: context.answerPieces,
    clock: context.clock,
    signal,
  })
  // A failed upload ends the request, and with it the answer, where it is reported.
  pipeline(bounded(o.request, bodyBytesMax), sent.request).catch(() => {})
  try {
    const from = await sent.response
    await relay({ from, to: o.response, headers: forwardableHeaders(from.headers) })
  } catch (error) {
    context.log.info({ err: error, ...target }, 'a plain request failed')
    await refuse(o.response, { status: 502, sentence: `${host}:${target.port} cannot be reached.` })
  }
}
