import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Longer than any client here pauses: a connection closed between two requests looks like a fault. */
const keepAliveMs = 120_000

/**
 * Listens on loopback only (port 0: any free one) and gives the base URL, without a final slash.
 * `host` is another address of loopback.
 */
export async function listen(server: Server, port = 0, host = '127.0.0.1'): Promise<string> {
  if (!host.startsWith('127.')) throw new Error(`not an address of loopback: ${host}`)
  server.keepAliveTimeout = keepAliveMs
  server.listen(port, host)
  await once(server, 'listening')
  // A TCP server that listens has an address of this form.
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

/** Stops listening and destroys every connection; does nothing the second time. */
export async function stop(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

/**
 * Reads a whole body as text; `null` when it has more than `bytesMax`. It is read to its end even
 * so, because the client listens for an answer only then.
 */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<string | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    // No encoding is set on the request, so its chunks are buffers.
    const buffer = chunk as Buffer
    bytes += buffer.length
    if (bytes <= bytesMax) chunks.push(buffer)
  }
  return bytes <= bytesMax ? Buffer.concat(chunks).toString('utf8') : null
}

/** Sends a whole JSON answer. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}
