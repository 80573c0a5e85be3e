import { createRoute } from '@hono/zod-openapi'
import { taskId } from '@longhaul/client/contract'
import { z } from 'zod'
import { getArtifact } from '../../store/artifacts.ts'
import { getTask } from '../../store/tasks.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { refusalsOf } from '../responses.ts'

const artifactName = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them is part of a name.
  .regex(/^[^\x00-\x1f\x7f/\\]{1,255}$/, 'expected the name of an artifact')

const get = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/artifacts/{name}',
  operationId: 'getTaskArtifact',
  summary: 'Download a file that the task left',
  tags: ['tasks'],
  request: { params: z.object({ id: taskId, name: artifactName }) },
  responses: {
    200: {
      description: 'The file, as an attachment.',
      content: { 'application/octet-stream': { schema: z.string().meta({ format: 'binary' }) } },
    },
    ...refusalsOf(404),
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
  app.openapi(get, async (c) => {
    const { id, name } = c.req.valid('param')
    const task = await getTask(store.db, id)
    if (!task) throw refusals.notFound(`task ${id}`)
    const artifact = await getArtifact(store.db, { sessionId: task.session_id, name })
    if (!artifact) throw refusals.notFound(`artifact ${JSON.stringify(name)} of task ${id}`)
    const { content_type: type, bytes } = artifact.meta
    c.header('content-type', harmlessTypes.has(type) ? `${type}` : 'application/octet-stream')
    c.header('content-length', String(bytes))
    c.header('content-disposition', dispositionOf(name))
    c.header('content-security-policy', "default-src 'none'; sandbox")
    return c.body(ReadableStream.from(artifact.read()), 200)
  })
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
