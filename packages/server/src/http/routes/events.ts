import { createRoute } from '@hono/zod-openapi'
import {
  countParam,
  eventPage,
  eventPageDefault,
  eventPageMax,
  eventSearch,
  eventType,
  listParam,
  seqParam,
  sessionId,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { readEvents } from '../../events/read.ts'
import { countEvents } from '../../store/events.ts'
import { atOneMoment } from '../../store/one-moment.ts'
import { getSession } from '../../store/sessions.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { presentEvent } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'

/** Event types in one filter, at most. */
const typesMax = 50

const types = listParam(eventType, typesMax)

const list = createRoute({
  method: 'get',
  path: '/v1/sessions/{id}/events',
  operationId: 'listSessionEvents',
  summary: 'List or search the events of a session, oldest first',
  tags: ['sessions'],
  request: {
    params: z.object({ id: sessionId }),
    query: z
      .strictObject({
        after: seqParam.optional().describe('Only events with a higher `seq`.'),
        page: seqParam.optional().describe('Opaque: the next page as the page before named it.'),
        limit: countParam(1, eventPageMax).optional(),
        'types[]': types.describe('Only events of these types.'),
        types: types.describe('As `types[]`.'),
        q: eventSearch
          .optional()
          .describe('Only events with this text in a value, whatever the case of ASCII letters.'),
        errors: z
          .literal('true')
          .optional()
          .describe('Only errors, failed ends, and calls, commands and checks that failed.'),
        beta: z.string().optional().describe('Sent by older official clients; ignored.'),
      })
      .refine((query) => query.after === undefined || query.page === undefined, {
        path: ['page'],
        error: 'expected one of after and page, not both',
        when: () => true,
      }),
  },
  responses: {
    200: {
      description: 'A page: of rows with one id the last; tool output beyond 8 KiB is cut.',
      content: json(eventPage),
    },
    ...refusalsOf(404),
  },
})

/** The pages of a session's log; the stream beside them is mounted from delivery/. */
export function eventRoutes(app: App, { store }: AppDeps): void {
  app.openapi(list, async (c) => {
    const { id } = c.req.valid('param')
    const query = c.req.valid('query')
    if (!(await getSession(store.db, id))) throw refusals.notFound(`session ${id}`)
    const limit = query.limit ?? eventPageDefault
    const wanted = [...(query.types ?? []), ...(query['types[]'] ?? [])]
    const filter = {
      ...(wanted.length > 0 && { types: wanted }),
      ...(query.q !== undefined && { text: query.q }),
      ...(query.errors !== undefined && { errors: true }),
    }
    const { events, total } = await atOneMoment(store.db, async (trx) => ({
      events: await readEvents(trx, {
        ...{ sessionId: id, limit: limit + 1, lastOfId: true, ...filter },
        after: query.page ?? query.after ?? 0,
      }),
      total:
        Object.keys(filter).length > 0 && (await countEvents(trx, { sessionId: id, ...filter })),
    }))
    const data = events.slice(0, limit).map(presentEvent)
    const next = events.length > limit ? String(data.at(-1)?.seq) : null
    return c.json({ data, next_page: next, ...(total !== false && { total }) }, 200)
  })
}
