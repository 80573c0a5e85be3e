import { createRoute } from '@hono/zod-openapi'
import {
  type OrderPolicy,
  type Task,
  task,
  taskCreateOrder,
  taskDeleted,
  taskId,
  taskPage,
  taskQuery,
} from '@longhaul/client/contract'
import { z } from 'zod'
import type { Db, TaskRow } from '../../store/tables.ts'
import { getTask } from '../../store/tasks.ts'
import { hasEnded } from '../../tasks/machine.ts'
import { whyQueued } from '../../tasks/why-queued.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { noQuery } from '../no-query.ts'
import { pageOfTasks } from '../pages.ts'
import { presentTask } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'
import { isKnown } from '../tagged.ts'

const params = z.object({ id: taskId })

function create(policy: OrderPolicy) {
  return createRoute({
    method: 'post',
    path: '/v1/tasks',
    operationId: 'createTask',
    summary: 'Order a task',
    tags: ['tasks'],
    request: {
      headers: idempotencyHeaders,
      body: { required: true, content: json(taskCreateOrder(policy)) },
    },
    responses: {
      201: { description: 'The task, pending.', content: json(task) },
      ...refusalsOf(409, 413, 415),
    },
  })
}

const list = createRoute({
  method: 'get',
  path: '/v1/tasks',
  operationId: 'listTasks',
  summary: 'List or search tasks, newest first',
  tags: ['tasks'],
  request: { query: taskQuery },
  responses: { 200: { description: 'A page.', content: json(taskPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}',
  operationId: 'getTask',
  summary: 'Read a task',
  tags: ['tasks'],
  request: { params, query: noQuery },
  responses: {
    200: { description: 'The task; `ETag` changes with it.', content: json(task) },
    304: { description: 'It is as `If-None-Match` has it.' },
    ...refusalsOf(404),
  },
})

const remove = createRoute({
  method: 'delete',
  path: '/v1/tasks/{id}',
  operationId: 'deleteTask',
  summary: 'Delete an ended task with its events, transcript and artifacts',
  tags: ['tasks'],
  request: { params },
  responses: {
    200: { description: 'It is gone.', content: json(taskDeleted) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

const cancel = createRoute({
  method: 'post',
  path: '/v1/tasks/{id}/cancel',
  operationId: 'cancelTask',
  summary: 'Cancel a task; work done so far is kept',
  tags: ['tasks'],
  request: { params, body: { required: false, content: json(z.strictObject({})) } },
  responses: {
    200: {
      description: 'The task; a running one ends as soon as its work is kept.',
      content: json(task),
    },
    ...refusalsOf(404, 409, 413, 415),
  },
})

/** The task routes of `/v1`. */
export function taskRoutes(app: App, deps: AppDeps): void {
  const { store, tasks, clock } = deps
  const present = async (db: Db, row: TaskRow): Promise<Task> =>
    presentTask(row, await whyQueued(db, { rows: [row], clock }))

  app.openapi(create(tasks.policy), async (c) => {
    const body = await once(deps, c, async (trx) => {
      const row = await tasks.create(trx, c.req.valid('json'), c.get('caller'))
      return { body: await present(trx, row), location: `/v1/tasks/${row.id}`, taskId: row.id }
    })
    return c.json(body, 201)
  })

  app.openapi(list, async (c) => {
    const { rows, next, total } = await pageOfTasks(store, c.req.valid('query'))
    const why = await whyQueued(store.db, { rows, clock })
    return c.json({ data: rows.map((row) => presentTask(row, why)), next_page: next, total }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const row = await getTask(store.db, id)
    if (!row) throw refusals.notFound(`task ${id}`)
    const shown = await present(store.db, row)
    return isKnown(c, shown) ? c.body(null, 304) : c.json(shown, 200)
  })

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid('param')
    const row = await tasks.delete(id)
    if (!row) throw refusals.notFound(`task ${id}`)
    if (!hasEnded(row)) throw refusals.taskNotEnded(row)
    return c.json({ id, type: 'task_deleted' as const }, 200)
  })

  app.openapi(cancel, async (c) => {
    const { id } = c.req.valid('param')
    const row = await tasks.cancel(id, c.get('caller'))
    if (!row) throw refusals.notFound(`task ${id}`)
    if (hasEnded(row) && row.reason !== 'cancelled')
      throw refusals.conflict(
        'task_ended',
        `The task has ended: it is ${row.status}, ${row.reason}.`,
      )
    return c.json(await present(store.db, row), 200)
  })
}
