import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { HostPort } from '../config.ts'
import { judgeBeginning } from './client-hello.ts'
import type { RouteContext } from './context.ts'

/** A tunnel in which nothing moves for this long is closed. */
const idleMs = 5 * 60_000
/** The largest of downloads takes less; what goes on for longer is no download. */
const tunnelMs = 60 * 60_000

/** The tunnel carries something else than it was opened for; the message is a sentence. */
class TunnelRefused extends Error {}

/**
 * Pipes both directions until each has ended by itself (half-open is normal); an error, silence or an
 * hour ends both. Nothing of the client's leaves before it is known to begin a TLS connection to the
 * very host that the tunnel was opened to, so that a listed host is no front for another one behind
 * the same address. On other ports than 443 what is not TLS may pass: the list names such a port
 * because something else is spoken there.
 */
export async function runTunnel(
  context: RouteContext,
  o: { target: HostPort; client: Duplex; upstream: Socket },
): Promise<void> {
  const { target, client, upstream } = o
  const bytes = { bytes_in: 0, bytes_out: 0 }
  const destroyBoth = (): void => {
    client.destroy()
    upstream.destroy()
  }
  upstream.setTimeout(idleMs, destroyBoth)
  using _limit = context.clock.after(tunnelMs, destroyBoth)
  const sent = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of judged(chunks, target)) {
      bytes.bytes_out += chunk.length
      yield chunk
    }
  }
  const received = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      bytes.bytes_in += chunk.length
      yield chunk
    }
  }
  const [out] = await Promise.allSettled([
    pipeline(client, sent, upstream),
    pipeline(upstream, received, client),
  ])
  destroyBoth()
  context.record.adds(bytes)
  if (out.status === 'rejected' && out.reason instanceof TunnelRefused)
    context.record.denied({ ...target, route: 'connect', why: out.reason.message })
}

/** The same chunks, the first of them held until they say what they are. Throws TunnelRefused. */
async function* judged(chunks: AsyncIterable<Buffer>, target: HostPort): AsyncGenerator<Buffer> {
  const held = new Held()
  let isPassed = false
  for await (const chunk of chunks) {
    if (isPassed) {
      yield chunk
      continue
    }
    const bytes = held.add(chunk)
    if (bytes === null) continue
    const verdict = judgeBeginning(bytes, target)
    if (verdict.kind === 'refused') throw new TunnelRefused(verdict.why)
    if (verdict.kind === 'more') held.wait(bytes, verdict.bytes)
    else {
      isPassed = true
      yield bytes
    }
  }
}

/** Keeps chunks until there are so many bytes as are waited for, in room for no more than these. */
class Held {
  #room = Buffer.alloc(0)
  #length = 0

  /** Everything so far, this included; null while there are not enough. */
  add(chunk: Buffer): Buffer | null {
    if (this.#length + chunk.length >= this.#room.length)
      return Buffer.concat([this.#room.subarray(0, this.#length), chunk])
    this.#length += chunk.copy(this.#room, this.#length)
    return null
  }

  /** `bytes` are held on until there are `bytesMin`. */
  wait(bytes: Buffer, bytesMin: number): void {
    this.#room = Buffer.alloc(bytesMin)
    this.#length = bytes.copy(this.#room)
  }
}
