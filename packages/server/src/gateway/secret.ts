import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { Scrubber } from '../scrub/scrubber.ts'
import { type SessionAnswers, TooManyAnswers } from './answers.ts'
import { BodyTooLarge, bounded } from './body.ts'
import { askedOf, type RouteContext } from './context.ts'
import { forwardableHeaders, framingOf } from './headers.ts'
import { NotHeld, requireHeld } from './held.ts'
import { withLimit } from './limits.ts'
import { TooManyLookups } from './lookups.ts'
import { refuse } from './refuse.ts'
import { type Address, AddressRefused, resolveJudged } from './resolve.ts'
import { judgeSecretRequest, type SecretRequest } from './secret-request.ts'
import { clientSignal, openRequest } from './upstream.ts'

const requestBytesMax = 64 * 1024 * 1024
const answerBytesMax = 64 * 1024 * 1024
/** Without a byte in either direction. */
const idleMs = 5 * 60_000
/** A request with its answer: a stream of events, too. */
const exchangeMs = 30 * 60_000

/**
 * `/secret/<NAME>/…`: the host that a secret of the operator's is bound to. TLS is opened from here
 * and the secret added on the way out; whatever comes back has it no more.
 */
export async function routeSecret(
  context: RouteContext,
  o: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const { request, response } = o
  const judged = judgeSecretRequest(context.policy.secrets, request)
  if ('why' in judged) {
    const { host, port, status, why } = judged
    context.record.denied({ host, port, route: 'secret', why }, { asked: askedOf(request) })
    return refuse(response, { status, sentence: why })
  }
  const { secret, method, path } = judged
  const { host, port } = secret
  const signal = clientSignal(response, context.signal)
  const address = await addressOf(context, { judged, signal })
  if ('why' in address) return refuse(response, { status: address.status, sentence: address.why })
  const details = { secret: secret.name, method, path }
  context.record.allowed({ host, port, route: 'secret', details })
  try {
    using held = context.answers.begin()
    void held
    await requireHeld(context, signal)
    const limit = { clock: context.clock, ms: exchangeMs, signal, what: 'the request' }
    await withLimit(limit, (limited) =>
      exchange(context, { ...o, judged, address, signal: limited }),
    )
  } catch (error) {
    if (error instanceof BodyTooLarge)
      return refuse(response, { status: 413, sentence: error.message })
    if (error instanceof NotHeld || error instanceof TooManyAnswers) {
      context.record.refused({ host, port, route: 'secret', why: error.message })
      const status = error instanceof NotHeld ? 503 : 429
      return refuse(response, { status, sentence: error.message })
    }
    context.log.info({ err: error, host, port }, 'a request with a secret failed')
    const sentence = `${host}:${port} cannot be reached${codeOf(error)}.`
    await refuse(response, { status: 502, sentence })
  }
}

async function addressOf(
  { policy, clock, lookup, log, record }: RouteContext,
  o: { judged: SecretRequest; signal: AbortSignal },
): Promise<Address | { readonly status: number; readonly why: string }> {
  const { host, port } = o.judged.secret
  try {
    return await resolveJudged({
      ...{ host, port, allowPrivate: policy.allowPrivate, clock, lookup },
      signal: o.signal,
    })
  } catch (error) {
    const isRefused = error instanceof AddressRefused
    const isMany = error instanceof TooManyLookups
    if (!isRefused) log.info({ err: error, host, port }, 'the host of a secret has no address')
    const why = isRefused || isMany ? error.message : `${host} cannot be resolved.`
    record[isRefused ? 'denied' : 'refused']({ host, port, route: 'secret', why })
    return { status: isRefused ? 403 : isMany ? 429 : 502, why }
  }
}

async function exchange(
  { clock, answers }: RouteContext,
  o: {
    request: IncomingMessage
    response: ServerResponse
    judged: SecretRequest
    address: Address
    signal: AbortSignal
  },
): Promise<void> {
  const { request, judged, address, signal } = o
  const { secret, method, url } = judged
  const headers = headersOut(request, judged)
  const sent = openRequest({
    ...{ url, method, headers, address, ca: secret.ca, idleMs, clock, signal },
  })
  // A failed upload ends the request, and with it the answer, where it is reported.
  pipeline(upload(request, sent.request), sent.request).catch(() => {})
  try {
    await answer(await sent.response, { ...o, answers })
  } finally {
    sent.request.destroy()
  }
}

/** The body; what is wrong with it is told to the request first, because a pipeline tells it nothing. */
async function* upload(body: IncomingMessage, to: ClientRequest): AsyncGenerator<Buffer> {
  try {
    yield* bounded(body, requestBytesMax)
  } catch (error) {
    to.destroy(error instanceof Error ? error : new Error('the upload broke', { cause: error }))
    throw error
  }
}

/** Ranges could tell the secret in parts, and what is encoded could not be scrubbed. */
const dropped = new Set(['accept-encoding', 'content-length', 'if-range', 'range'])

/** By these some servers take another method or path than the one that was judged. */
const overriding =
  /^x-(?:http-)?method(?:-override)?$|^x-(?:original|rewrite|forwarded)-(?:url|uri|path|prefix|method)$/

/** Some servers read `x_api_key` as `x-api-key`, so names with underscores do not pass. */
function headersOut(request: IncomingMessage, { secret }: SecretRequest): OutgoingHttpHeaders {
  const kept = Object.entries(forwardableHeaders(request.headers)).filter(
    ([name]) =>
      name !== secret.header && !name.includes('_') && !dropped.has(name) && !overriding.test(name),
  )
  return {
    'user-agent': 'longhaul',
    ...Object.fromEntries(kept),
    ...framingOf(request.headers),
    'accept-encoding': 'identity',
    [secret.header]: `${secret.prefix}${secret.value}`,
  }
}

async function answer(
  from: IncomingMessage,
  o: { response: ServerResponse; judged: SecretRequest; answers: SessionAnswers },
): Promise<void> {
  const { response, judged, answers } = o
  const { secret, method } = judged
  const length = from.headers['content-length']
  const refused = refusalOf(from.headers['content-encoding'], method === 'HEAD' ? '0' : length)
  if (refused !== null) {
    from.destroy()
    const sentence = `What ${secret.host} answered is not passed on: ${refused}.`
    return refuse(response, { status: 502, sentence })
  }
  const scrubber = new Scrubber([secret.value])
  const headers = Object.entries(forwardableHeaders(from.headers)).flatMap(([name, value]) => {
    // Cookies are credentials as well. A scrubbed body has another length.
    if (name === 'set-cookie' || (name === 'content-length' && method !== 'HEAD')) return []
    const text = String(value)
    return [[name, scrubber.text(name === 'location' ? locationInside(text, judged) : text)]]
  })
  response.writeHead(from.statusCode ?? 502, Object.fromEntries(headers))
  response.flushHeaders()
  await pipeline(scrubber.stream(bounded(from, answerBytesMax), answers.inTurn), response)
}

function refusalOf(encoding = 'identity', length = '0'): string | null {
  if (encoding.toLowerCase() !== 'identity') return 'it has an encoding that was not asked for'
  const isLarge = Number(length) > answerBytesMax
  return isLarge ? `it is larger than ${answerBytesMax / 1024 ** 2} MiB` : null
}

/** On the same host it leads here again, so that a client inside may follow it; else it stays. */
function locationInside(location: string, { secret, url }: SecretRequest): string {
  const to = URL.parse(location, url.href)
  if (to === null || to.origin !== url.origin) return location
  return `/secret/${secret.name}${to.pathname}${to.search}${to.hash}`
}

/** What Node calls it, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`: whoever set it up has to know. */
function codeOf(error: unknown): string {
  const { code } = Object(error)
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? ` (${code})` : ''
}
