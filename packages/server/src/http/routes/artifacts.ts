import { createRoute } from '@hono/zod-openapi'
import {
  artifactId,
  artifactName,
  artifactPage,
  countParam,
  pageDefault,
  pageMax,
  taskId,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { getArtifact, listArtifacts } from '../../store/artifacts.ts'
import type { ArtifactRow, TaskRow } from '../../store/tables.ts'
import { getTask } from '../../store/tasks.ts'
import { isSame, matches, partOf } from '../conditional.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { noQuery } from '../no-query.ts'
import { presentArtifact } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'

const list = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/artifacts',
  operationId: 'listTaskArtifacts',
  summary: 'List the files that the task left, oldest first',
  tags: ['tasks'],
  request: {
    params: z.object({ id: taskId }),
    query: z.strictObject({
      limit: countParam(1, pageMax).optional(),
      page: artifactId.optional().describe('Opaque: the next page as the page before named it.'),
    }),
  },
  responses: { 200: { description: 'A page.', content: json(artifactPage) }, ...refusalsOf(404) },
})

const bytes = {
  'application/octet-stream': { schema: z.string().meta({ format: 'binary' }) },
}

const get = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/artifacts/{name}',
  operationId: 'getTaskArtifact',
  summary: 'Download a file that the task left, or one range of its bytes',
  tags: ['tasks'],
  request: {
    params: z.object({ id: taskId, name: artifactName }),
    query: noQuery,
    headers: z.object({
      range: z.string().optional().describe('`bytes=0-499`, `bytes=500-`, `bytes=-500`.'),
      'if-range': z.string().optional().describe('The `ETag` that the range belongs to.'),
      'if-none-match': z.string().optional().describe('Answered 304 while it is the `ETag`.'),
    }),
  },
  responses: {
    200: { description: 'The file, as an attachment.', content: bytes },
    206: { description: 'The bytes that `Range` asked for.', content: bytes },
    304: { description: 'The file is the one that the caller has.' },
    ...refusalsOf(404, 416),
  },
})

/** Types that no browser runs; a file of any other type is sent as bytes. */
const harmlessTypes: ReadonlySet<string> = new Set([
  'text/plain',
  'text/markdown',
  'text/x-patch',
  'application/json',
])

/** Files of a task, streamed from the store. What an agent wrote is never shown, only saved. */
export function artifactRoutes(app: App, { store }: AppDeps): void {
  async function taskOf(id: string): Promise<TaskRow> {
    const task = await getTask(store.db, id)
    if (!task) throw refusals.notFound(`task ${id}`)
    return task
  }

  app.openapi(list, async (c) => {
    const { session_id: sessionId } = await taskOf(c.req.valid('param').id)
    const { page: after, limit = pageDefault } = c.req.valid('query')
    const rows = await listArtifacts(store.db, {
      ...{ sessionId, limit: limit + 1 },
      ...(after !== undefined && { after }),
    })
    const data = rows.slice(0, limit).map(presentArtifact)
    return c.json({ data, next_page: rows.length > limit ? (data.at(-1)?.id ?? null) : null }, 200)
  })

  app.openapi(get, async (c) => {
    const { id, name } = c.req.valid('param')
    const asked = c.req.valid('header')
    const task = await taskOf(id)
    const artifact = await getArtifact(store.db, { sessionId: task.session_id, name })
    if (!artifact) throw refusals.notFound(`artifact ${JSON.stringify(name)} of task ${id}`)
    const { meta, read } = artifact
    // A replaced file has a new id, so the id is the strong validator of its content.
    const etag = `"${meta.id}"`
    c.header('etag', etag)
    if (matches(asked['if-none-match'], etag)) return c.body(null, 304)
    const part =
      c.req.method === 'GET' && isSame(asked['if-range'], etag)
        ? partOf(asked.range, meta.bytes)
        : null
    if (part === 'unsatisfiable') throw refusals.rangeNotSatisfiable(asked.range, meta.bytes)
    for (const [header, value] of headersOf(meta)) c.header(header, value)
    if (part === null) {
      c.header('content-length', String(meta.bytes))
      return c.body(ReadableStream.from(read()), 200)
    }
    c.header('content-length', String(part.last - part.first + 1))
    c.header('content-range', `bytes ${part.first}-${part.last}/${meta.bytes}`)
    return c.body(ReadableStream.from(read(part)), 206)
  })
}

function headersOf({ name, content_type: type }: ArtifactRow): [string, string][] {
  const isHarmless = harmlessTypes.has(type.replace(/; charset=utf-8$/, ''))
  return [
    ['content-type', isHarmless ? type : 'application/octet-stream'],
    ['content-disposition', dispositionOf(name)],
    ['content-security-policy', "default-src 'none'; sandbox"],
    ['accept-ranges', 'bytes'],
  ]
}

/** RFC 6266: a plain name for old readers, the exact one in UTF-8. */
function dispositionOf(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._ -]/g, '_')
  const exact = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}
