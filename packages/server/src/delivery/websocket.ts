import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { errorBody, socketMessage } from '@longhaul/client/contract'
import type { Env } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { WebSocketServer } from 'ws'
import { z } from 'zod'
import type { Caller } from '../caller.ts'
import { Socket } from './socket.ts'
import type { SseDeps } from './sse.ts'
import { isUpgrade, problemOf, takeOver } from './upgrade.ts'

export interface WebSocketDeps extends Omit<SseDeps, 'streamsMax'> {
  /** Sockets that may be open at once in this server. */
  readonly socketsMax?: number
}

const defaultSocketsMax = 1000
/** Of all sockets of this server together: each looks at the store now and then. */
const subscriptionsMax = 2000
/** Bytes of a frame that are read at all; of a larger one only the close code says so. */
const frameBytesMax = 64 * 1024
/** The one protocol that is spoken here: a browser offers it beside `bearer.<key>`. */
const protocol = 'longhaul'

const route = createRoute({
  method: 'get',
  path: '/v1/ws',
  operationId: 'openWebSocket',
  summary: 'Follow the events of many sessions (WebSocket)',
  description:
    'Messages are JSON objects, see docs/events.md. The key comes as on every route or, from a browser, as a protocol: `new WebSocket(url, ["longhaul", "bearer.<key>"])`.',
  tags: ['sessions'],
  request: {
    query: z.strictObject({}),
  },
  responses: {
    101: { description: 'The connection is a WebSocket from here on.' },
    ...Object.fromEntries(
      [400, 401, 403, 426, 429, 500].map((status) => [
        status,
        { description: 'Error.', content: { 'application/json': { schema: errorBody } } },
      ]),
    ),
  },
})

/** What the app gives a route: who asks, and the id of the request. */
interface Known extends Env {
  Variables: { caller: Caller; requestId: string }
}

/** The WebSocket route, for an app that authenticates and words errors. */
export function webSocketRoute(
  deps: WebSocketDeps,
): <E extends Known>(app: OpenAPIHono<E>) => void {
  const { socketsMax = defaultSocketsMax } = deps
  const server = new WebSocketServer({
    ...{ noServer: true, maxPayload: frameBytesMax, handleProtocols: () => protocol },
  })
  const admit = places(subscriptionsMax)

  return (app) => {
    // A copy: a schema that was made before zod-openapi was loaded lacks what that adds to schemas.
    app.openAPIRegistry.register('SocketMessage', socketMessage.clone())
    app.openapi(route, (c) => {
      const request = c.req.raw.headers
      if (!isUpgrade(request)) {
        c.header('upgrade', 'websocket')
        throw new HTTPException(426, {
          message: 'This route is a WebSocket: expected `Upgrade: websocket`.',
        })
      }
      const problem = problemOf(request, protocol)
      if (problem !== null) throw new HTTPException(400, { message: problem })
      const open = server.clients.size
      if (deps.signal.aborted || open >= socketsMax)
        throw new HTTPException(429, {
          message: `${open} WebSockets are open: expected at most ${socketsMax}. Close one, or try again later.`,
        })
      const { incoming, socket } = takeOver(c.env)
      const { caller, requestId } = c.var
      const count = (): void =>
        deps.metrics.openStreams.set({ kind: 'websocket' }, server.clients.size)
      server.handleUpgrade(incoming, socket, Buffer.alloc(0), (ws) => {
        new Socket(ws, { ...deps, admit, keyId: caller.keyId, requestId })
        ws.once('close', count)
        count()
      })
      return new Response(null, RESPONSE_ALREADY_SENT)
    })
  }
}

/** So many at once: each call takes a place, or null when there is none. */
function places(max: number): () => Disposable | null {
  let taken = 0
  return () => {
    if (taken >= max) return null
    taken += 1
    return {
      [Symbol.dispose]: () => {
        taken -= 1
      },
    }
  }
}
