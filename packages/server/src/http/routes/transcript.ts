import { createRoute } from '@hono/zod-openapi'
import { taskId } from '@longhaul/client/contract'
import { accepts } from 'hono/accepts'
import { z } from 'zod'
import { getSession } from '../../store/sessions.ts'
import { getTask } from '../../store/tasks.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { refusalsOf } from '../responses.ts'
import { transcript } from '../transcript.ts'

const get = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/transcript',
  operationId: 'getTaskTranscript',
  summary: 'The whole log of a task so far, to read or to keep',
  description:
    'Markdown: what was ordered, said, called and answered, each under its `seq`. JSON Lines, for `Accept: application/jsonl` or `format=jsonl`: every event, one a line.',
  tags: ['tasks'],
  request: {
    params: z.object({ id: taskId }),
    query: z.strictObject({
      format: z.enum(['markdown', 'jsonl']).optional().describe('Stronger than `Accept`.'),
    }),
  },
  responses: {
    200: {
      description: 'The transcript, as an attachment.',
      content: {
        'text/markdown': { schema: z.string() },
        'application/jsonl': { schema: z.string() },
      },
    },
    ...refusalsOf(404),
  },
})

const formats = {
  markdown: { type: 'text/markdown; charset=utf-8', suffix: 'md' },
  jsonl: { type: 'application/jsonl', suffix: 'jsonl' },
} as const

const jsonlTypes = ['application/jsonl', 'application/x-ndjson']

/** The transcript, read from the log page by page while it is sent. */
export function transcriptRoutes(app: App, { store }: AppDeps): void {
  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const task = await getTask(store.db, id)
    const session = task && (await getSession(store.db, task.session_id))
    if (!task || !session) throw refusals.notFound(`task ${id}`)
    const accepted = accepts(c, {
      ...{ header: 'Accept', default: 'text/markdown' },
      supports: ['text/markdown', ...jsonlTypes],
    })
    const format =
      c.req.valid('query').format ?? (jsonlTypes.includes(accepted) ? 'jsonl' : 'markdown')
    const { type, suffix } = formats[format]
    c.header('content-type', type)
    c.header('content-disposition', `attachment; filename="${id}.${suffix}"`)
    c.header('content-security-policy', "default-src 'none'; sandbox")
    c.header('vary', 'accept')
    return c.body(ReadableStream.from(transcript(store, { task, session, format })), 200)
  })
}
