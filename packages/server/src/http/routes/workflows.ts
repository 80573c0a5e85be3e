import { createRoute } from '@hono/zod-openapi'
import {
  type OrderPolicy,
  taskId,
  workflow,
  workflowCreateOrder,
  workflowPage,
  workflowQuery,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { getTask } from '../../store/tasks.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { noQuery } from '../no-query.ts'
import { pageOfTasks } from '../pages.ts'
import { presentWorkflow } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'
import { isKnown } from '../tagged.ts'

function create(policy: OrderPolicy) {
  return createRoute({
    method: 'post',
    path: '/api/workflows',
    operationId: 'createWorkflow',
    summary: 'Order a task',
    tags: ['workflows'],
    request: {
      headers: idempotencyHeaders,
      body: { required: true, content: json(workflowCreateOrder(policy)) },
    },
    responses: {
      201: { description: 'The task, pending.', content: json(workflow) },
      ...refusalsOf(409, 413, 415),
    },
  })
}

const list = createRoute({
  method: 'get',
  path: '/api/workflows',
  operationId: 'listWorkflows',
  summary: 'List or search tasks, newest first',
  tags: ['workflows'],
  request: { query: workflowQuery },
  responses: { 200: { description: 'A page.', content: json(workflowPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/api/workflows/{id}',
  operationId: 'getWorkflow',
  summary: 'Read a task',
  tags: ['workflows'],
  request: { params: z.object({ id: taskId }), query: noQuery },
  responses: {
    200: { description: 'The task; `ETag` changes with it.', content: json(workflow) },
    304: { description: 'It is as `If-None-Match` has it.' },
    ...refusalsOf(404),
  },
})

/** The task routes of `/api/workflows`: four statuses, camelCase, milliseconds. */
export function workflowRoutes(app: App, deps: AppDeps): void {
  const { store, tasks } = deps

  app.openapi(create(tasks.policy), async (c) => {
    const body = await once(deps, c, async (trx) => {
      const row = await tasks.create(trx, c.req.valid('json'), c.get('caller'))
      return { body: presentWorkflow(row), location: `/api/workflows/${row.id}`, taskId: row.id }
    })
    return c.json(body, 201)
  })

  app.openapi(list, async (c) => {
    const { rows, next, total } = await pageOfTasks(store, c.req.valid('query'))
    return c.json({ data: rows.map(presentWorkflow), nextPage: next, total }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const row = await getTask(store.db, id)
    if (!row) throw refusals.notFound(`task ${id}`)
    const shown = presentWorkflow(row)
    return isKnown(c, shown) ? c.body(null, 304) : c.json(shown, 200)
  })
}
