import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { HostPort } from '../config.ts'
import type { Lookup } from '../gateway/resolve.ts'
import { addressOf, ReceiverRefused } from './receiver.ts'

/** How one try ended: the receiver's answer, or why there is none. */
export type PostOutcome =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
    }
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

/** Bytes of the receiver's answer that are read, and characters of its headers that are kept: for the log. */
const answerBytesMax = 4096
const headerCharsMax = 4096

/**
 * Sends one POST to a URL that a stranger chose. The host is resolved once and judged, and exactly
 * that address is dialled; redirects are not followed, so no answer can lead anywhere else. Never
 * rejects; ends early with `signal`, which also sets the time limit.
 */
export async function post(o: Post): Promise<PostOutcome> {
  const url = new URL(o.url)
  try {
    return await send(o, url, await addressOf({ ...o, url }))
  } catch (error) {
    if (error instanceof ReceiverRefused) return failed(error.message)
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
  return { kind: 'answered', status: answer.statusCode ?? 0, headers: headersOf(answer), body }
}

/** As many of them as are kept. */
function headersOf(answer: IncomingMessage): Record<string, string> {
  let room = headerCharsMax
  const headers = Object.entries(answer.headers).map(
    ([name, value]) => [name, String(value)] as const,
  )
  return Object.fromEntries(
    headers.filter(([name, value]) => {
      room -= name.length + value.length
      return room >= 0
    }),
  )
}

function failed(message: string): PostOutcome {
  return { kind: 'failed', message }
}
