import { createRoute } from '@hono/zod-openapi'
import { sandboxReport, serverAlert } from '@longhaul/client/contract'
import { z } from 'zod'
import type { ProbeDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { json } from '../responses.ts'

/** One part of the server: well, or what is wrong and how to mend it. */
const part = z.object({ ok: z.boolean(), problem: z.string().nullable() })

const readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    store: part,
    queue: part,
    sandbox: part.describe('Ok as well where this process runs no tasks.'),
    model: part.describe('Without a model the server is ready, and tasks fail.'),
  })
  .meta({ id: 'Readiness' })

const health = z
  .object({
    status: z.enum(['healthy', 'degraded']),
    version: z.string(),
    store: part,
    queue: part,
    sandbox: sandboxReport
      .nullable()
      .describe('Null: this process runs no tasks; workers of their own do.'),
    model: part,
    disk: part
      .extend({ free_bytes: z.number().nullable(), floor_bytes: z.number() })
      .describe('The disk of the data directory; not ok: tasks are taken, and none is begun.'),
    memory: part
      .extend({ free_bytes: z.number(), floor_bytes: z.number() })
      .nullable()
      .describe(
        'What this process could still take; not ok: it begins no task. Null: it runs none anyway.',
      ),
    alerts: z.array(serverAlert).describe('What is wrong now; see alerts.md.'),
  })
  .meta({ id: 'Health' })

type Part = z.infer<typeof part>

const livez = createRoute({
  method: 'get',
  tags: ['health'],
  security: [],
  path: '/livez',
  operationId: 'livez',
  summary: 'The process answers',
  responses: {
    200: { description: 'Yes.', content: json(z.object({ status: z.literal('alive') })) },
  },
})

const readyz = createRoute({
  method: 'get',
  tags: ['health'],
  security: [],
  path: '/readyz',
  operationId: 'readyz',
  summary: 'Store, queue and sandbox work',
  responses: {
    200: { description: 'Ready for tasks.', content: json(readiness) },
    503: { description: 'Not ready; the parts say why.', content: json(readiness) },
  },
})

const healthRoute = createRoute({
  method: 'get',
  tags: ['health'],
  security: [],
  path: '/health',
  operationId: 'health',
  summary: 'How the server is, part by part',
  responses: { 200: { description: 'Healthy, or what is not.', content: json(health) } },
})

/** Milliseconds that the store may take to answer before it counts as gone. */
const pingMsMax = 2000

/** `/livez`, `/readyz` and `/health`: without a key, and nothing in them is secret. */
export function healthRoutes(app: App, deps: ProbeDeps): void {
  app.openapi(livez, (c) => c.json({ status: 'alive' as const }, 200))

  app.openapi(readyz, async (c) => {
    const { store, queue, sandbox, model } = await partsOf(deps)
    const walls = { ok: sandbox?.ok ?? true, problem: sandbox?.problem ?? null }
    const parts = { store, queue, sandbox: walls, model }
    return store.ok && queue.ok && walls.ok
      ? c.json({ status: 'ready' as const, ...parts }, 200)
      : c.json({ status: 'not_ready' as const, ...parts }, 503)
  })

  app.openapi(healthRoute, async (c) => {
    const [{ store, queue, sandbox, model }, disk] = await Promise.all([
      partsOf(deps),
      diskOf(deps),
    ])
    const walled = sandbox === null || (sandbox.ok && sandbox.gaps.length === 0)
    const memory = memoryOf(deps)
    const allOk = [store, queue, model, disk, memory].every((one) => one?.ok ?? true)
    const alerts = [...deps.health.alerts()]
    const status = allOk && walled && alerts.length === 0 ? 'healthy' : 'degraded'
    const parts = { store, queue, sandbox, model, disk, memory, alerts }
    return c.json({ status, version: deps.version, ...parts } as const, 200)
  })
}

async function partsOf({ store, health, clock }: ProbeDeps) {
  return {
    store: await pinged((signal) => store.ping(signal), clock),
    queue: partOf(health.queueReady(), 'The queue is not running.'),
    sandbox: health.sandbox(),
    model: partOf(
      health.modelConfigured,
      'No model key is configured: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN.',
    ),
  }
}

async function diskOf({ health }: ProbeDeps) {
  const { freeBytes, floorBytes, problem } = await health.disk()
  return { ok: problem === null, problem, free_bytes: freeBytes, floor_bytes: floorBytes }
}

function memoryOf({ health }: ProbeDeps) {
  const space = health.memory()
  if (space === null) return null
  const { freeBytes, floorBytes, problem } = space
  return { ok: problem === null, problem, free_bytes: freeBytes, floor_bytes: floorBytes }
}

async function pinged(
  ping: (signal: AbortSignal) => Promise<void>,
  clock: ProbeDeps['clock'],
): Promise<Part> {
  const late = new AbortController()
  using _timer = clock.after(pingMsMax, () => late.abort(new Error('The store is slow.')))
  const ok = await ping(late.signal).then(
    () => true,
    // The reason is in the log; here it could name hosts and users.
    () => false,
  )
  return partOf(ok, 'The store does not answer.')
}

function partOf(ok: boolean, problem: string): Part {
  return { ok, problem: ok ? null : problem }
}
