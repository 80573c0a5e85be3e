import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { discard } from './body.ts'
import { excerpt } from './excerpt.ts'

/** Of every sentence: whoever does not read an answer keeps it in memory, with no bound on its own. */
const messageCharsMax = 4_000

/** Error types of the Messages API, as its clients know them. */
export type ModelErrorType =
  | 'api_error'
  | 'billing_error'
  | 'invalid_request_error'
  | 'overloaded_error'
  | 'permission_error'
  | 'rate_limit_error'
  | 'request_too_large'

/** Refuses in the shape of the Messages API. Does nothing if an answer has begun. */
export async function refuseModel(
  response: ServerResponse,
  o: {
    status: number
    type: ModelErrorType
    message: string
    headers?: OutgoingHttpHeaders
  },
): Promise<void> {
  const message = excerpt(o.message, messageCharsMax)
  const body = JSON.stringify({ type: 'error', error: { type: o.type, message } })
  await answer(response, {
    status: o.status,
    body,
    headers: { ...o.headers, 'content-type': 'application/json' },
  })
}

/** Refuses with one sentence for people; git and curl print it. */
export async function refuse(
  response: ServerResponse,
  o: { status: number; sentence: string },
): Promise<void> {
  await answer(response, {
    status: o.status,
    body: `${excerpt(o.sentence, messageCharsMax)}\n`,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  })
}

/** Refuses in the form of GitHub's API; gh prints the message. */
export async function refuseGitHub(
  response: ServerResponse,
  o: { status: number; message: string },
): Promise<void> {
  await answer(response, {
    status: o.status,
    body: JSON.stringify({ message: excerpt(o.message, messageCharsMax) }),
    headers: { 'content-type': 'application/json; charset=utf-8' },
  })
}

/** Refuses on a bare socket, where HTTP has not begun (CONNECT, broken requests). */
export function refuseSocket(socket: Duplex, o: { status: string; sentence: string }): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = `${excerpt(o.sentence, messageCharsMax)}\n`
  socket.end(
    `HTTP/1.1 ${o.status}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** The rest of a refused request is read first, so that the client gets to its answer. */
async function answer(
  response: ServerResponse,
  o: { status: number; body: string; headers: OutgoingHttpHeaders },
): Promise<void> {
  await discard(response.req)
  if (response.headersSent || response.destroyed) return
  response.writeHead(o.status, { ...o.headers, 'content-length': Buffer.byteLength(o.body) })
  response.end(o.body)
}
