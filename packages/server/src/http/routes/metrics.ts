import { createRoute } from '@hono/zod-openapi'
import { z } from 'zod'
import type { ProbeDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusalsOf } from '../responses.ts'

const scrape = createRoute({
  method: 'get',
  path: '/metrics',
  operationId: 'getMetrics',
  summary: 'What the server counts, for Prometheus',
  tags: ['health'],
  responses: {
    200: {
      description: 'Prometheus’s text format.',
      content: { 'text/plain': { schema: z.string() } },
    },
    ...refusalsOf(),
  },
})

/** The metrics of this process, and of the queue and the outbox that all share. */
export function metricsRoute(app: App, { metrics, measureStore }: ProbeDeps): void {
  app.openapi(scrape, async (c) => {
    await measureStore()
    const { text, contentType } = await metrics.render()
    return c.text(text, 200, { 'content-type': contentType })
  })
}
