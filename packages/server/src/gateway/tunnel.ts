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
  let held: Buffer | null = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (held === null) {
      yield chunk
      continue
    }
    held = Buffer.concat([held, chunk])
    const verdict = judgeBeginning(held, target)
    if (verdict.kind === 'more') continue
    if (verdict.kind === 'refused') throw new TunnelRefused(verdict.why)
    yield held
    held = null
  }
}
