import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { HostPort } from '../config.ts'
import { AddressRefused, type Lookup, resolveJudged } from '../gateway/resolve.ts'

/** How one try ended: the receiver's answer, or why there is none. */
export type PostOutcome =
  | { readonly kind: 'answered'; readonly status: number; readonly body: string }
  | { readonly kind: 'failed'; readonly message: string }

export interface Post {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Receivers that may be private and may speak plain http. */
  readonly allow: readonly HostPort[]
  readonly signal: AbortSignal
  readonly lookup?: Lookup
}

/** Bytes of the receiver's answer that are read, for the reason of a failure. */
const answerBytesMax = 1024

/**
 * Sends one POST to a URL that a stranger chose. The host is resolved once and judged, and exactly
 * that address is dialled; redirects are not followed, so no answer can lead anywhere else. Never
 * rejects; ends early with `signal`, which also sets the time limit.
 */
export async function post(o: Post): Promise<PostOutcome> {
  const url = new URL(o.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const listed = o.allow.some((entry) => entry.host === host && entry.port === port)
  if (url.protocol !== 'https:' && !listed)
    return failed(`${host}:${port} is not reached over https and not in CALLBACK_ALLOW`)
  try {
    const { signal, lookup, allow: allowPrivate } = o
    const address = await resolveJudged({
      host,
      port,
      allowPrivate,
      signal,
      ...(lookup && { lookup }),
    })
    return await send(o, url, address)
  } catch (error) {
    if (error instanceof AddressRefused)
      return failed(`${host}:${port} is not a public address and not in CALLBACK_ALLOW`)
    const cause: unknown = o.signal.aborted ? o.signal.reason : error
    return failed(cause instanceof Error ? cause.message : String(cause))
  }
}

function send(
  o: Post,
  url: URL,
  judged: { readonly address: string; readonly family: 4 | 6 },
): Promise<PostOutcome> {
  const { promise, resolve, reject } = Promise.withResolvers<PostOutcome>()
  const lookup: LookupFunction = (_host, options, done) =>
    options.all
      ? done(null, [{ address: judged.address, family: judged.family }])
      : done(null, judged.address, judged.family)
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest
  const outgoing = request(url, {
    method: 'POST',
    // A connection of its own: one in a pool may lead to an address judged for somebody else.
    agent: false,
    lookup,
    signal: o.signal,
    headers: { ...o.headers, 'content-length': Buffer.byteLength(o.body) },
  })
  outgoing.once('error', reject)
  outgoing.once('response', (answer) => resolve(outcomeOf(outgoing, answer)))
  outgoing.end(o.body)
  return promise
}

async function outcomeOf(outgoing: ClientRequest, answer: IncomingMessage): Promise<PostOutcome> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer) {
      chunks.push(Buffer.from(chunk))
      bytes += chunk.length
      if (bytes >= answerBytesMax) break
    }
  } catch {
    // The status has come, and it decides; how the body broke off does not matter.
  } finally {
    outgoing.destroy()
  }
  const body = Buffer.concat(chunks).subarray(0, answerBytesMax).toString()
  return { kind: 'answered', status: answer.statusCode ?? 0, body }
}

function failed(message: string): PostOutcome {
  return { kind: 'failed', message }
}
