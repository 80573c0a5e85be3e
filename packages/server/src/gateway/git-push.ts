import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { BodyTooLarge, bounded } from './body.ts'
import { pickHeaders } from './headers.ts'
import type { GatewayHooks } from './policy.ts'
import { ReceivePackParser, type RefCommand, refusalReport } from './receive-pack.ts'

/** `report` is the body of git's own refusal; `broken` is refused at the level of HTTP. */
export type InspectedPush =
  | {
      readonly kind: 'allowed'
      /** The whole body from its first byte, decoded, counted as it streams. */
      readonly chunks: AsyncIterable<Buffer>
      readonly headers: OutgoingHttpHeaders
      readonly refs: readonly string[]
    }
  | {
      readonly kind: 'refused'
      readonly why: string
      readonly report: Buffer
      readonly refs: readonly string[]
    }
  | { readonly kind: 'broken'; readonly why: string; readonly status: number }

interface Rules {
  /** The refs that it may touch. */
  readonly refs: readonly string[]
  /** Asked for each of them with its new commit: a sentence refuses it. */
  readonly mayPush: GatewayHooks['mayPush']
  readonly signal: AbortSignal
}

/**
 * Reads a push up to the end of its commands and judges them before anything is forwarded. Of a
 * refused push the rest is read and thrown away, because git reads the answer only then. Throws what
 * `mayPush` throws.
 */
export async function inspectPush(
  o: Rules & { request: IncomingMessage; bytesMax: number },
): Promise<InspectedPush> {
  const decoded = decode(o.request)
  if (decoded === null)
    return { kind: 'broken', status: 415, why: 'A push may be compressed with gzip only.' }
  const chunks = bounded(decoded.body, o.bytesMax)
  try {
    const { verdict, head } = await readCommands(chunks, o.refs)
    if (verdict.kind === 'allowed') {
      const why = await refusalOfCommits(verdict.commands, o)
      if (why !== null) return await refuse(chunks, { ...verdict, why })
      const refs = refsOf(verdict.commands)
      return { kind: 'allowed', chunks: rejoin(head, chunks), headers: decoded.headers, refs }
    }
    if (verdict.kind === 'refused') return await refuse(chunks, verdict)
    await readOut(chunks)
    return { kind: 'broken', status: 403, why: verdict.why }
  } catch (error) {
    if (error instanceof BodyTooLarge) return { kind: 'broken', status: 413, why: error.message }
    if (error instanceof NotDecided) {
      await readOut(chunks)
      throw error.cause
    }
    return { kind: 'broken', status: 400, why: 'The push ended before its commands did.' }
  }
}

/** The verdict, and what was read for it. */
async function readCommands(chunks: AsyncGenerator<Buffer>, refs: readonly string[]) {
  const parser = new ReceivePackParser(refs)
  const head: Buffer[] = []
  for (;;) {
    const next = await chunks.next()
    if (next.done === true) throw new Error('the push ended')
    head.push(next.value)
    const verdict = parser.push(next.value)
    if (verdict.kind !== 'more') return { verdict, head }
  }
}

/** The owner could not say whether a commit may leave. */
class NotDecided extends Error {}

async function refusalOfCommits(
  commands: readonly RefCommand[],
  { mayPush, signal }: Rules,
): Promise<string | null> {
  for (const { ref, newId } of commands) {
    const why = await mayPush({ ref, commit: newId }, signal).catch((cause: unknown) => {
      throw new NotDecided('not decided', { cause })
    })
    if (why !== null) return why
  }
  return null
}

async function refuse(
  chunks: AsyncGenerator<Buffer>,
  verdict: Parameters<typeof refusalReport>[0],
): Promise<InspectedPush> {
  await readOut(chunks)
  const { why } = verdict
  const report = refusalReport(verdict)
  if (report === null) return { kind: 'broken', status: 403, why }
  return { kind: 'refused', why, report, refs: refsOf(verdict.commands) }
}

/** Each with the commit that it is to be. */
function refsOf(commands: readonly RefCommand[]): string[] {
  return commands.map(({ ref, newId }) => `${ref} ${newId}`)
}

async function readOut(chunks: AsyncGenerator<Buffer>): Promise<void> {
  for await (const _ of chunks);
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
