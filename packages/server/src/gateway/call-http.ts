import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import type { Log } from '../log.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { withLimit } from './limits.ts'
import { AddressRefused, type Lookup, resolveJudged } from './resolve.ts'
import { openRequest } from './upstream.ts'

/** Bytes of an answer that are read; a tool's answer to the agent is shorter still. */
const answerBytesMax = 256 * 1024

/** A request for somebody who may not see its secrets. */
export interface HttpCall {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Headers whose values are secret, added last. */
  readonly secretHeaders: Readonly<Record<string, string>>
  /** What no answer may have. */
  readonly secrets: readonly string[]
  /** JSON; null: none. */
  readonly body: string | null
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** What came of it. A failure is a sentence, for the agent, and has no secret in it. */
export type HttpOutcome =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly contentType: string
      readonly text: string
      /** Whether the end of the text is missing. */
      readonly truncated: boolean
    }
  | { readonly kind: 'failed'; readonly sentence: string }

/**
 * Makes one request, once: resolves the host, judges the address, dials exactly that one. Redirects
 * are not followed. The answer is bounded and scrubbed of the secrets. Rejects with the signal's
 * reason alone.
 */
export async function callHttp(
  o: HttpCall & {
    readonly allowPrivate: readonly HostPort[]
    readonly clock: Clock
    readonly log: Log
    readonly lookup?: Lookup
  },
): Promise<HttpOutcome> {
  const { clock, signal, timeoutMs: ms } = o
  try {
    return await withLimit({ clock, ms, signal, what: 'the request' }, (limited) =>
      answerTo({ ...o, signal: limited }),
    )
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof AddressRefused) return failed(error.message)
    o.log.info({ err: error, host: o.url.host }, 'a request of a custom tool failed')
    const why = error instanceof Error ? error.message : 'unknown'
    return failed(`${o.url.host} did not answer: ${new Scrubber(o.secrets).text(why)}.`)
  }
}

async function answerTo(o: Parameters<typeof callHttp>[0]): Promise<HttpOutcome> {
  const port = Number(o.url.port || (o.url.protocol === 'https:' ? 443 : 80))
  const address = await resolveJudged({ ...o, host: o.url.hostname, port })
  const { request, response } = openRequest({
    url: o.url,
    method: o.method,
    headers: {
      'user-agent': 'longhaul',
      ...o.headers,
      // An answer in another encoding could not be scrubbed.
      'accept-encoding': 'identity',
      ...(o.body === null
        ? {}
        : {
            'content-type': 'application/json',
            'content-length': String(Buffer.byteLength(o.body)),
          }),
      ...o.secretHeaders,
    },
    address,
    idleMs: o.timeoutMs,
    clock: o.clock,
    signal: o.signal,
  })
  try {
    request.end(o.body ?? undefined)
    return await outcomeOf(await response, o)
  } finally {
    request.destroy()
  }
}

async function outcomeOf(
  answer: IncomingMessage,
  { url, secrets }: Pick<HttpCall, 'url' | 'secrets'>,
): Promise<HttpOutcome> {
  const status = answer.statusCode ?? 0
  if (status >= 300 && status < 400)
    return failed(`${url.host} answered ${status}: redirects are not followed.`)
  if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity')
    return failed(`${url.host} answered in an encoding that was not asked for.`)
  const scrubber = new Scrubber(secrets)
  const contentType = scrubber.text(answer.headers['content-type'] ?? '').slice(0, 200)
  const { body, truncated } = await readStart(answer)
  if (!isText(contentType)) {
    const size = truncated ? `more than ${answerBytesMax}` : String(body.length)
    const text = `${size} bytes that are not text`
    return { kind: 'answered', status, contentType, text, truncated: false }
  }
  const text = body.toString('utf8')
  const scrubbed = truncated ? scrubber.cut(text) : scrubber.text(text)
  return { kind: 'answered', status, contentType, text: scrubbed, truncated }
}

async function readStart(answer: IncomingMessage): Promise<{ body: Buffer; truncated: boolean }> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer.iterator({ destroyOnReturn: true })) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > answerBytesMax) break
  }
  const body = Buffer.concat(chunks).subarray(0, answerBytesMax)
  return { body, truncated: bytes > answerBytesMax }
}

function isText(contentType: string): boolean {
  return /^$|^text\/|[/+](json|xml|yaml|x-ndjson|x-www-form-urlencoded)\b/i.test(contentType)
}

function failed(sentence: string): HttpOutcome {
  return { kind: 'failed', sentence }
}
