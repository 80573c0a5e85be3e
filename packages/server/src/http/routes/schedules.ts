import { createRoute } from '@hono/zod-openapi'
import {
  countParam,
  pageDefault,
  pageMax,
  schedule,
  scheduleCreate,
  scheduleDeleted,
  scheduleFire,
  scheduleFirePage,
  scheduleId,
  schedulePage,
  scheduleUpdate,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { listFires } from '../../store/schedule-fires.ts'
import { deleteSchedule, getSchedule, listSchedules } from '../../store/schedules.ts'
import type { ScheduleRow } from '../../store/tables.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { noQuery } from '../no-query.ts'
import { presentFire, presentSchedule } from '../present-schedule.ts'
import { json, refusalsOf } from '../responses.ts'

const params = z.object({ id: scheduleId })
const limit = countParam(1, pageMax).optional()
const opaque = 'Opaque: the next page as the page before named it.'

const create = createRoute({
  method: 'post',
  path: '/v1/schedules',
  operationId: 'createSchedule',
  summary: 'Order a task again and again, at the times of a cron expression',
  tags: ['schedules'],
  request: {
    headers: idempotencyHeaders,
    body: { required: true, content: json(scheduleCreate) },
  },
  responses: {
    201: { description: 'The schedule.', content: json(schedule) },
    ...refusalsOf(409, 413, 415),
  },
})

const list = createRoute({
  method: 'get',
  path: '/v1/schedules',
  operationId: 'listSchedules',
  summary: 'List schedules, newest first',
  tags: ['schedules'],
  request: { query: z.strictObject({ limit, page: scheduleId.optional().describe(opaque) }) },
  responses: { 200: { description: 'A page.', content: json(schedulePage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/schedules/{id}',
  operationId: 'getSchedule',
  summary: 'Read a schedule, with its next five times',
  tags: ['schedules'],
  request: { params, query: noQuery },
  responses: { 200: { description: 'The schedule.', content: json(schedule) }, ...refusalsOf(404) },
})

const update = createRoute({
  method: 'post',
  path: '/v1/schedules/{id}',
  operationId: 'updateSchedule',
  summary: 'Change a schedule, pause it or let it go on: an absent field stays',
  tags: ['schedules'],
  request: { params, body: { required: true, content: json(scheduleUpdate) } },
  responses: {
    200: { description: 'The schedule as it is now.', content: json(schedule) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

const remove = createRoute({
  method: 'delete',
  path: '/v1/schedules/{id}',
  operationId: 'deleteSchedule',
  summary: 'Delete a schedule and its history; its tasks stay',
  tags: ['schedules'],
  request: { params },
  responses: {
    200: { description: 'It is gone.', content: json(scheduleDeleted) },
    ...refusalsOf(404),
  },
})

const fire = createRoute({
  method: 'post',
  path: '/v1/schedules/{id}/fire',
  operationId: 'fireSchedule',
  summary: 'Order a task of it now, though it is paused or another one still goes on',
  tags: ['schedules'],
  request: {
    params,
    headers: idempotencyHeaders,
    body: { required: false, content: json(z.strictObject({})) },
  },
  responses: {
    201: { description: 'What came of it.', content: json(scheduleFire) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

const fires = createRoute({
  method: 'get',
  path: '/v1/schedules/{id}/fires',
  operationId: 'listScheduleFires',
  summary: 'What came of each time, newest first',
  tags: ['schedules'],
  request: {
    params,
    query: z.strictObject({ limit, page: z.iso.datetime().optional().describe(opaque) }),
  },
  responses: {
    200: { description: 'A page.', content: json(scheduleFirePage) },
    ...refusalsOf(404),
  },
})

/** The routes of schedules. */
export function scheduleRoutes(app: App, deps: AppDeps): void {
  const { store, clock, schedules } = deps
  const present = (row: ScheduleRow) => presentSchedule(row, new Date(clock.now()))
  const known = <T>(id: string, row: T | undefined): T => {
    if (row === undefined) throw refusals.notFound(`schedule ${id}`)
    return row
  }

  app.openapi(create, async (c) => {
    const given = c.req.valid('json')
    const body = await once(deps, c, async (trx) => {
      const row = await schedules.create(trx, given, c.get('caller'))
      return { body: present(row), location: `/v1/schedules/${row.id}` }
    })
    return c.json(body, 201)
  })

  app.openapi(list, async (c) => {
    const { limit: max = pageDefault, page } = c.req.valid('query')
    const after = page !== undefined && { before: page }
    const rows = await listSchedules(store.db, { limit: max + 1, ...after })
    const next = rows.length > max ? (rows[max - 1]?.id ?? null) : null
    return c.json({ data: rows.slice(0, max).map(present), next_page: next }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    return c.json(present(known(id, await getSchedule(store.db, id))), 200)
  })

  app.openapi(update, async (c) => {
    const { id } = c.req.valid('param')
    const [patch, caller] = [c.req.valid('json'), c.get('caller')]
    return c.json(present(known(id, await schedules.change({ id, patch, caller }))), 200)
  })

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await deleteSchedule(store.db, id))) throw refusals.notFound(`schedule ${id}`)
    return c.json({ id, type: 'schedule_deleted' as const }, 200)
  })

  app.openapi(fire, async (c) => {
    const { id } = c.req.valid('param')
    const body = await once(deps, c, async (trx) => {
      const row = known(id, await schedules.fireNow(trx, { id, caller: c.get('caller') }))
      const { task_id: taskId } = row
      return { body: presentFire(row), location: `/v1/tasks/${taskId}`, ...(taskId && { taskId }) }
    })
    return c.json(body, 201)
  })

  app.openapi(fires, async (c) => {
    const { id } = c.req.valid('param')
    const { limit: max = pageDefault, page } = c.req.valid('query')
    known(id, await getSchedule(store.db, id))
    const after = page !== undefined && { before: new Date(page) }
    const rows = await listFires(store.db, { scheduleId: id, limit: max + 1, ...after })
    const next = rows.length > max ? (rows[max - 1]?.scheduled_at.toISOString() ?? null) : null
    return c.json({ data: rows.slice(0, max).map(presentFire), next_page: next }, 200)
  })
}
