import type { Readable } from 'node:stream'

/** A body exceeded its bound, given in bytes. */
export class BodyTooLarge extends Error {
  readonly bytesMax: number
  constructor(bytesMax: number) {
    super(`The body is larger than ${Math.floor(bytesMax / 1024 / 1024)} MiB.`)
    this.bytesMax = bytesMax
  }
}

/** There is no room for a body now; the same request may pass in a moment. */
export class NoRoom extends Error {}

/**
 * Reads a whole body. Throws BodyTooLarge beyond `bytesMax`, what `watch` throws at a chunk, or the
 * stream's own error.
 */
export async function readBody(
  body: Readable,
  bytesMax: number,
  watch: (chunk: Buffer) => void = () => {},
): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bounded(body, bytesMax)) {
    watch(chunk)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/**
 * The same chunks, counted; throws BodyTooLarge as soon as they exceed `bytesMax`. Leaves the
 * stream open then, because destroying a request destroys the connection its refusal needs.
 */
export async function* bounded(body: Readable, bytesMax: number): AsyncGenerator<Buffer> {
  let bytes = 0
  const chunks: AsyncIterable<Buffer> = body.iterator({ destroyOnReturn: false })
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new BodyTooLarge(bytesMax)
    yield chunk
  }
}

/**
 * Reads a body on and throws it away, until it ends, breaks or exceeds the bound: a client that is
 * still sending reads its answer only then, and would otherwise see a broken pipe.
 */
export async function discard(body: Readable): Promise<void> {
  let bytes = 0
  const over = Promise.withResolvers<void>()
  body.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > discardBytesMax) over.resolve()
  })
  body.on('error', over.resolve).once('end', over.resolve).once('close', over.resolve)
  body.resume()
  if (body.readableEnded || body.destroyed) over.resolve()
  await over.promise
}

/** Beyond this the connection is broken rather than listened to. */
const discardBytesMax = 512 * 1024 * 1024
