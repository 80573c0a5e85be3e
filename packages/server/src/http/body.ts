import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './env.ts'
import { refusals } from './errors.ts'

/** Bytes of a request body, at most. */
const bodyBytesMax = 1024 * 1024

/**
 * Reads a request's body before any route does: at most 1 MiB, JSON only. A request without a body
 * passes; a route that needs one then names its missing fields.
 */
export function jsonBody(): MiddlewareHandler<AppEnv> {
  return async function jsonBody(c, next) {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    const announced = Number(c.req.header('content-length') ?? 0)
    if (announced > bodyBytesMax) throw refusals.tooLarge(bodyBytesMax)
    const text = await readText(c.req.raw.body)
    const contentType = c.req.header('content-type')
    if (!isJson(contentType) && (text !== '' || contentType !== undefined))
      throw refusals.notJson(contentType)
    if (text !== '') parse(text)
    // No body is an empty object, and the validators want to hear that it is JSON.
    else c.req.raw.headers.set('content-type', 'application/json')
    // The validators read the body from here; the request's own stream is used up. Hono's type says
    // string, its code awaits a promise of one.
    Object.assign(c.req.bodyCache, { text: Promise.resolve(text === '' ? '{}' : text) })
    return next()
  }
}

async function readText(body: ReadableStream<Uint8Array> | null): Promise<string> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > bodyBytesMax) throw refusals.tooLarge(bodyBytesMax)
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    // The decoder's error says no more than this sentence.
    throw refusals.malformed('expected UTF-8')
  }
}

function isJson(contentType: string | undefined): boolean {
  return /^application\/json\s*(;|$)/i.test(contentType ?? '')
}

function parse(text: string): void {
  try {
    JSON.parse(text)
  } catch (error) {
    throw refusals.malformed(error instanceof Error ? withoutText(error.message) : 'expected JSON')
  }
}

/**
 * V8 quotes ten characters on either side of an unexpected one, which may be half of a secret:
 * `Unexpected token 's', ..."token": sk-live-01"... is not valid JSON`.
 */
function withoutText(message: string): string {
  return message.replace(/, (?:\.\.\.)?".*"(?:\.\.\.)? is not valid JSON$/s, '')
}
