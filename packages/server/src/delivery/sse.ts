import { ServerResponse } from 'node:http'
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { deltaType, errorBody, listParam, seqParam, sessionId } from '@longhaul/client/contract'
import type { Env } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { LiveEvents } from '../events/live.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Store } from '../store/open.ts'
import { getSession } from '../store/sessions.ts'
import { type Followed, type Following, follow } from './follow.ts'
import { sseStream } from './sse-stream.ts'

export interface SseDeps {
  readonly store: Store
  readonly live: LiveEvents
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Aborts when the server drains: every stream ends, and its reader resumes elsewhere. */
  readonly signal: AbortSignal
  /** Streams that may be open at once in this server. */
  readonly streamsMax?: number
}

const defaultStreamsMax = 1000

/** Kinds of events whose deltas may be asked for. */
const deltaTypes = listParam(deltaType, deltaType.options.length)

const stream = createRoute({
  method: 'get',
  path: '/v1/sessions/{id}/events/stream',
  operationId: 'streamSessionEvents',
  summary: 'Follow the events of a session (Server-Sent Events)',
  description:
    'Live-only unless `Last-Event-ID` or `after` says from which number on. `id` is the event’s `seq`. The stream ends after the last event of a session; a reader that then comes back with `Last-Event-ID` is answered 204.',
  tags: ['sessions'],
  request: {
    params: z.object({ id: sessionId }),
    query: z.strictObject({
      after: seqParam.optional().describe('Replay the events with a higher `seq` first.'),
      'event_deltas[]': deltaTypes.describe('Also send live deltas of these; they have no `id`.'),
      event_deltas: deltaTypes.describe('As `event_deltas[]`.'),
      beta: z.string().optional().describe('Sent by older official clients; ignored.'),
    }),
    headers: z.object({
      'last-event-id': seqParam
        .optional()
        .describe('As `after`, and stronger: sent by a reader that resumes.'),
    }),
  },
  responses: {
    200: {
      description: 'The events as they come.',
      content: { 'text/event-stream': { schema: z.string() } },
    },
    204: { description: 'The session has ended and the reader has seen all of it.' },
    ...Object.fromEntries(
      [400, 401, 403, 404, 429, 500].map((status) => [
        status,
        { description: 'Error.', content: { 'application/json': { schema: errorBody } } },
      ]),
    ),
  },
})

/** The stream route, for an app that authenticates, validates and words errors. */
export function sseRoute(deps: SseDeps): <E extends Env>(app: OpenAPIHono<E>) => void {
  const { store, streamsMax = defaultStreamsMax } = deps
  let open = 0

  async function* counted(o: Following, stop: AbortController): AsyncGenerator<Followed> {
    const end = (): void => stop.abort()
    deps.signal.addEventListener('abort', end, { once: true })
    open += 1
    deps.metrics.openStreams.set({ kind: 'sse' }, open)
    try {
      yield* follow(o)
    } catch (error) {
      deps.log.warn({ err: error, sessionId: o.sessionId }, 'a stream of events broke off')
      yield { kind: 'broken' }
    } finally {
      open -= 1
      deps.metrics.openStreams.set({ kind: 'sse' }, open)
      deps.signal.removeEventListener('abort', end)
    }
  }

  return (app) => {
    app.openapi(stream, async (c) => {
      const { id } = c.req.valid('param')
      const query = c.req.valid('query')
      const resumed = c.req.valid('header')['last-event-id']
      const session = await getSession(store.db, id)
      if (!session) throw new HTTPException(404, { message: `There is no session ${id}.` })
      const ended = session.status === 'terminated'
      const after = resumed ?? query.after ?? session.last_seq
      if (ended && resumed !== undefined && after >= session.last_seq) return c.body(null, 204)
      if (deps.signal.aborted || open >= streamsMax)
        throw new HTTPException(429, {
          message: `${open} event streams are open: expected at most ${streamsMax}. Close one, or try again later.`,
        })
      const stop = new AbortController()
      const deltas = new Set([...(query.event_deltas ?? []), ...(query['event_deltas[]'] ?? [])])
      const signal = stop.signal
      const followed = counted({ ...deps, sessionId: id, after, ended, deltas, signal }, stop)
      const cut = (): void => void connectionOf(c.env)?.destroy()
      const body = sseStream(followed, { clock: deps.clock, stop, cut })
      return c.body(body, 200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        // Proxies of the nginx kind hold a response back unless told not to.
        'x-accel-buffering': 'no',
      })
    })
  }
}

/** The connection under a request; null where an app is called without a server. */
function connectionOf(env: object | undefined): ServerResponse | null {
  const outgoing: unknown = Reflect.get(env ?? {}, 'outgoing')
  return outgoing instanceof ServerResponse ? outgoing : null
}
