import { createRoute } from '@hono/zod-openapi'
import {
  pageDefault,
  session,
  sessionCursor,
  sessionDeleted,
  sessionId,
  sessionPage,
  sessionQuery,
} from '@longhaul/client/contract'
import { z } from 'zod'
import {
  archiveSession,
  getListedSession,
  type ListedSession,
  listSessions,
} from '../../store/session-list.ts'
import { hasEnded } from '../../tasks/machine.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { presentSession } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'

const params = z.object({ id: sessionId })
const noBody = { required: false, content: json(z.strictObject({})) }

const list = createRoute({
  method: 'get',
  path: '/v1/sessions',
  operationId: 'listSessions',
  summary: 'List sessions, newest first',
  tags: ['sessions'],
  request: { query: sessionQuery },
  responses: { 200: { description: 'A page.', content: json(sessionPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/sessions/{id}',
  operationId: 'getSession',
  summary: 'Read a session',
  tags: ['sessions'],
  request: {
    params,
    query: z.strictObject({
      beta: z.string().optional().describe('Sent by older official clients; ignored.'),
    }),
  },
  responses: { 200: { description: 'The session.', content: json(session) }, ...refusalsOf(404) },
})

const archive = createRoute({
  method: 'post',
  path: '/v1/sessions/{id}/archive',
  operationId: 'archiveSession',
  summary: 'Archive a session that is over: lists leave it out, and no message continues it',
  tags: ['sessions'],
  request: { params, body: noBody },
  responses: {
    200: { description: 'The session.', content: json(session) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

const remove = createRoute({
  method: 'delete',
  path: '/v1/sessions/{id}',
  operationId: 'deleteSession',
  summary: 'Delete a session that is over, and its task',
  tags: ['sessions'],
  request: { params },
  responses: {
    200: { description: 'It is gone.', content: json(sessionDeleted) },
    ...refusalsOf(404, 409),
  },
})

/** The session routes of `/v1`; the events of one have a file of their own. */
export function sessionRoutes(app: App, { store, clock, tasks }: AppDeps): void {
  async function sessionOf(id: string): Promise<ListedSession> {
    const row = await getListedSession(store.db, id)
    if (!row) throw refusals.notFound(`session ${id}`)
    return row
  }

  app.openapi(list, async (c) => {
    const { filter, order, limit = pageDefault, after } = c.req.valid('query')
    const rows = await listSessions(store.db, { filter, order, after, limit: limit + 1 })
    const last = rows.length > limit ? rows[limit - 1] : undefined
    const next = last ? sessionCursor({ createdAt: last.created_at, id: last.id }) : null
    return c.json({ data: rows.slice(0, limit).map(presentSession), next_page: next }, 200)
  })

  app.openapi(get, async (c) => {
    return c.json(presentSession(await sessionOf(c.req.valid('param').id)), 200)
  })

  app.openapi(archive, async (c) => {
    const { id } = c.req.valid('param')
    const archived = await archiveSession(store.db, { id, now: new Date(clock.now()) })
    const row = await sessionOf(id)
    if (!archived) throw refusals.sessionNotTerminated(row.status)
    return c.json(presentSession(row), 200)
  })

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid('param')
    const { task_id: taskId, status } = await sessionOf(id)
    const task = taskId === null ? undefined : await tasks.delete(taskId)
    if (task === undefined) throw refusals.notFound(`session ${id}`)
    if (!hasEnded(task)) throw refusals.sessionNotTerminated(status)
    return c.json({ id, type: 'session_deleted' as const }, 200)
  })
}
