import { createRoute } from '@hono/zod-openapi'
import { type Worker, worker, workerDrain, workerId, workerPage } from '@longhaul/client/contract'
import { z } from 'zod'
import type { WorkerRow } from '../../store/worker-table.ts'
import { drainWorker, getWorker, listWorkers, silentMsMax } from '../../store/workers.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { noQuery } from '../no-query.ts'
import { json, refusalsOf } from '../responses.ts'

const params = z.object({ id: workerId })

const list = createRoute({
  method: 'get',
  path: '/v1/workers',
  operationId: 'listWorkers',
  summary: 'List the processes that work on tasks, newest first',
  tags: ['workers'],
  request: { query: noQuery },
  responses: { 200: { description: 'All of them.', content: json(workerPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/workers/{id}',
  operationId: 'getWorker',
  summary: 'Read how a worker is',
  tags: ['workers'],
  request: { params, query: noQuery },
  responses: { 200: { description: 'The worker.', content: json(worker) }, ...refusalsOf(404) },
})

const drain = createRoute({
  method: 'post',
  path: '/v1/workers/{id}/drain',
  operationId: 'drainWorker',
  summary: 'Have a worker take nothing new, until it is started again',
  description: 'Once it is `drained` it may be stopped, and no task waits for that.',
  tags: ['workers'],
  request: { params, body: { required: false, content: json(workerDrain) } },
  responses: {
    200: { description: 'The worker; it hears of it within seconds.', content: json(worker) },
    ...refusalsOf(404, 413, 415),
  },
})

/** The routes of workers. */
export function workerRoutes(app: App, { store, clock }: AppDeps): void {
  const shown = (row: WorkerRow | undefined, id: string): Worker => {
    if (row === undefined) throw refusals.notFound(`worker ${id}`)
    return presentWorker(row, clock.now())
  }

  app.openapi(list, async (c) => {
    const rows = await listWorkers(store.db, new Date(clock.now()))
    const data = rows.map((row) => presentWorker(row, clock.now()))
    return c.json({ data, next_page: null }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    return c.json(shown(await getWorker(store.db, id), id), 200)
  })

  app.openapi(drain, async (c) => {
    const { id } = c.req.valid('param')
    const handBack = c.req.valid('json')?.hand_back ?? false
    const row = await drainWorker(store.db, { id, handBack, now: new Date(clock.now()) })
    return c.json(shown(row, id), 200)
  })
}

function presentWorker(row: WorkerRow, now: number): Worker {
  return {
    type: 'worker',
    id: row.id,
    status: statusOf(row, now),
    host: row.host,
    version: row.version,
    labels: row.labels,
    slots: row.slots,
    running: row.running,
    started_at: row.started_at.toISOString(),
    last_seen_at: row.seen_at.toISOString(),
    draining_since: row.draining_at?.toISOString() ?? null,
    held: row.held,
  }
}

/** What it ran counts from when it was heard of after it was told. */
function statusOf(row: WorkerRow, now: number): Worker['status'] {
  if (now - row.seen_at.getTime() > silentMsMax) return 'lost'
  if (row.draining_at === null) return 'working'
  return row.running === 0 && row.seen_at > row.draining_at ? 'drained' : 'draining'
}
