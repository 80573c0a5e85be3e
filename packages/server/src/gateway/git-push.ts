import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { BodyTooLarge, bounded } from './body.ts'
import { pickHeaders } from './headers.ts'
import { ReceivePackParser, refusalReport } from './receive-pack.ts'

/** `report` is the body of git's own refusal; `broken` is refused at the level of HTTP. */
export type InspectedPush =
  | {
      readonly kind: 'allowed'
      /** The whole body from its first byte, decoded, counted as it streams. */
      readonly chunks: AsyncIterable<Buffer>
      readonly headers: OutgoingHttpHeaders
    }
  | { readonly kind: 'refused'; readonly why: string; readonly report: Buffer }
  | { readonly kind: 'broken'; readonly why: string; readonly status: number }

/**
 * Reads a push up to the end of its commands and judges them before anything is forwarded: it may
 * touch `refs` only. Of a refused push the rest is read and thrown away, because git reads the answer only then.
 */
export async function inspectPush(o: {
  request: IncomingMessage
  refs: readonly string[]
  bytesMax: number
}): Promise<InspectedPush> {
  const decoded = decode(o.request)
  if (decoded === null)
    return { kind: 'broken', status: 415, why: 'A push may be compressed with gzip only.' }
  const chunks = bounded(decoded.body, o.bytesMax)
  try {
    return await judge({ chunks, refs: o.refs, headers: decoded.headers })
  } catch (error) {
    if (error instanceof BodyTooLarge) return { kind: 'broken', status: 413, why: error.message }
    return { kind: 'broken', status: 400, why: 'The push ended before its commands did.' }
  }
}

async function judge(o: {
  chunks: AsyncGenerator<Buffer>
  refs: readonly string[]
  headers: OutgoingHttpHeaders
}): Promise<InspectedPush> {
  const parser = new ReceivePackParser(o.refs)
  const head: Buffer[] = []
  for (;;) {
    const next = await o.chunks.next()
    if (next.done === true)
      return { kind: 'broken', status: 400, why: 'The push ended before its commands did.' }
    head.push(next.value)
    const verdict = parser.push(next.value)
    if (verdict.kind === 'more') continue
    if (verdict.kind === 'allowed')
      return { kind: 'allowed', chunks: rejoin(head, o.chunks), headers: o.headers }
    for await (const _ of o.chunks);
    if (verdict.kind === 'malformed') return { kind: 'broken', status: 403, why: verdict.why }
    const report = refusalReport(verdict)
    return report === null
      ? { kind: 'broken', status: 403, why: verdict.why }
      : { kind: 'refused', why: verdict.why, report }
  }
}

/**
 * What is inspected is what is sent: a compressed body goes on decoded, so that no second decoder
 * can find other commands in it.
 */
function decode(request: IncomingMessage): { body: Readable; headers: OutgoingHttpHeaders } | null {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity')
    return { body: request, headers: pickHeaders(request.headers, ['content-length']) }
  if (encoding !== 'gzip' && encoding !== 'x-gzip') return null
  const gunzip = createGunzip()
  request.once('error', (error) => gunzip.destroy(error))
  request.once('close', () => request.readableEnded || gunzip.destroy(new Error('cut off')))
  return { body: request.pipe(gunzip), headers: {} }
}

async function* rejoin(
  head: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  yield* head
  yield* rest
}
