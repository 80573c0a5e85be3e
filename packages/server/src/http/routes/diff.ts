import { createRoute } from '@hono/zod-openapi'
import { taskDiff, taskId } from '@longhaul/client/contract'
import { accepts } from 'hono/accepts'
import { z } from 'zod'
import { getDiff } from '../../store/diffs.ts'
import { getTask } from '../../store/tasks.ts'
import { matches } from '../conditional.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { json, refusalsOf } from '../responses.ts'

const get = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/diff',
  operationId: 'getTaskDiff',
  summary: 'What the task has changed so far',
  description:
    'From the commit that the task began with to the newest one that the server made or found; there is none before the first. JSON, or a patch for `Accept: text/x-patch` or `format=patch`. Beyond 4 MiB of patch, 100,000 lines or 3,000 files it is `truncated`; the patch names binary files only.',
  tags: ['tasks'],
  request: {
    params: z.object({ id: taskId }),
    query: z.strictObject({
      format: z.enum(['json', 'patch']).optional().describe('Stronger than `Accept`.'),
    }),
    headers: z.object({
      'if-none-match': z.string().optional().describe('Answered 304 while it is the `ETag`.'),
    }),
  },
  responses: {
    200: {
      description: 'The difference.',
      content: { ...json(taskDiff), 'text/x-patch': { schema: z.string() } },
    },
    304: { description: 'The difference is the one that the caller has.' },
    ...refusalsOf(404),
  },
})

const types = { json: 'application/json', patch: 'text/x-patch' } as const

/** The difference as it was stored: it is the agent's work, so a browser never shows it as a page. */
export function diffRoutes(app: App, { store }: AppDeps): void {
  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const task = await getTask(store.db, id)
    if (!task) throw refusals.notFound(`task ${id}`)
    const { json, patch } = types
    const accepted = accepts(c, { header: 'Accept', supports: [json, patch], default: json })
    const format = c.req.valid('query').format ?? (accepted === patch ? 'patch' : 'json')
    const form = format === 'patch' ? 'patch' : 'body'
    const diff = await getDiff(store.db, { sessionId: task.session_id, form })
    if (!diff) throw refusals.notFound(`diff of task ${id}: nothing is committed`)
    const etag = `"${diff.base_commit}-${diff.commit}-${format}"`
    c.header('etag', etag)
    c.header('vary', 'accept')
    if (matches(c.req.valid('header')['if-none-match'], etag)) return c.body(null, 304)
    c.header('content-type', types[format])
    c.header('content-security-policy', "default-src 'none'; sandbox")
    if (format === 'patch') c.header('content-disposition', `attachment; filename="${id}.patch"`)
    return c.body(Uint8Array.from(diff.content), 200)
  })
}
