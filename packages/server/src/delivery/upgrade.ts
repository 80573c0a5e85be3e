import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'

/** Whether a request's connection is to become a WebSocket (RFC 6455, 4.1). */
export function isUpgrade(headers: Headers): boolean {
  return (
    listOf(headers, 'upgrade').includes('websocket') &&
    listOf(headers, 'connection').includes('upgrade')
  )
}

/**
 * What is wrong with the opening handshake, as a sentence, or null. What is offered is never
 * repeated: one of the protocols may be a key.
 */
export function problemOf(headers: Headers, protocol: string): string | null {
  if (!/^[+/0-9a-z]{22}==$/i.test(headers.get('sec-websocket-key') ?? ''))
    return 'sec-websocket-key: expected 16 bytes in base64.'
  if (headers.get('sec-websocket-version') !== '13') return 'sec-websocket-version: expected 13.'
  const offered = listOf(headers, 'sec-websocket-protocol')
  const isList = offered.every((name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))
  if (!isList || new Set(offered).size < offered.length)
    return 'sec-websocket-protocol: expected a list of different names.'
  if (offered.length > 0 && !offered.includes(protocol))
    return `sec-websocket-protocol: expected ${protocol} among the protocols that are offered.`
  return null
}

/**
 * Takes the connection of an upgrade from the HTTP server, which writes no answer to it then. Throws
 * where there is none: the app was called without a server.
 */
export function takeOver(env: object | undefined): { incoming: IncomingMessage; socket: Socket } {
  const [incoming, outgoing]: unknown[] = [
    Reflect.get(env ?? {}, 'incoming'),
    Reflect.get(env ?? {}, 'outgoing'),
  ]
  if (!(incoming instanceof IncomingMessage && outgoing instanceof ServerResponse))
    throw new Error('a WebSocket needs a connection')
  const { socket } = outgoing
  if (!(socket instanceof Socket)) throw new Error('the connection is gone')
  outgoing.detachSocket(socket)
  return { incoming, socket }
}

function listOf(headers: Headers, name: string): string[] {
  const text = headers.get(name)?.toLowerCase() ?? ''
  return text === '' ? [] : text.split(',').map((part) => part.trim())
}
