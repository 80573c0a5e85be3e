import { createRoute } from '@hono/zod-openapi'
import {
  deliveryPage,
  deliveryQuery,
  deliveryWithTries,
  endpoint,
  endpointCreate,
  endpointDeleted,
  endpointId,
  endpointPage,
  endpointQuery,
  endpointUpdate,
  endpointWithSecret,
  type OrderPolicy,
  pageDefault,
} from '@longhaul/client/contract'
import { z } from 'zod'
import type { Caller } from '../../caller.ts'
import { getDelivery, listDeliveries } from '../../store/delivery-log.ts'
import {
  deleteEndpoint,
  endpointsMax,
  endpointsOfTaskMax,
  getEndpoint,
  listEndpoints,
} from '../../store/endpoints.ts'
import type { Store } from '../../store/open.ts'
import type { EndpointRow, Trx } from '../../store/tables.ts'
import { holdTask } from '../../store/tasks.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { noQuery } from '../no-query.ts'
import {
  presentDelivery,
  presentEndpoint,
  presentSecret,
  presentTries,
} from '../present-endpoint.ts'
import { json, refusalsOf } from '../responses.ts'
import { seesAll } from '../scopes.ts'

const params = z.object({ id: endpointId })
const tags = ['webhooks']
const one = { description: 'The endpoint.', content: json(endpoint) }
const withSecret = {
  description: 'The endpoint with its secret, shown this once.',
  content: json(endpointWithSecret),
}

const create = (policy: OrderPolicy) =>
  createRoute({
    ...{ method: 'post', path: '/v1/endpoints', operationId: 'createEndpoint', tags },
    summary: 'Have the steps of this key’s tasks, or of one of them, posted to a URL',
    request: {
      headers: idempotencyHeaders,
      body: { required: true, content: json(endpointCreate(policy)) },
    },
    responses: { 201: withSecret, ...refusalsOf(404, 409, 413, 415) },
  })

const list = createRoute({
  ...{ method: 'get', path: '/v1/endpoints', operationId: 'listEndpoints', tags },
  summary: 'List this key’s endpoints, newest first; with every scope, those of all keys',
  request: { query: endpointQuery },
  responses: { 200: { description: 'A page.', content: json(endpointPage) }, ...refusalsOf() },
})

const get = createRoute({
  ...{ method: 'get', path: '/v1/endpoints/{id}', operationId: 'getEndpoint', tags },
  summary: 'Read an endpoint',
  request: { params, query: noQuery },
  responses: { 200: one, ...refusalsOf(404) },
})

const update = (policy: OrderPolicy) =>
  createRoute({
    ...{ method: 'post', path: '/v1/endpoints/{id}', operationId: 'updateEndpoint', tags },
    summary: 'Change an endpoint, for what happens from now on: an absent field stays',
    request: { params, body: { required: true, content: json(endpointUpdate(policy)) } },
    responses: { 200: one, ...refusalsOf(404, 413, 415) },
  })

const remove = createRoute({
  ...{ method: 'delete', path: '/v1/endpoints/{id}', operationId: 'deleteEndpoint', tags },
  summary: 'Delete an endpoint, with its deliveries',
  request: { params },
  responses: {
    200: { description: 'It is gone.', content: json(endpointDeleted) },
    ...refusalsOf(404),
  },
})

const rotate = createRoute({
  ...{ method: 'post', path: '/v1/endpoints/{id}/rotate', operationId: 'rotateEndpoint', tags },
  summary: 'Give an endpoint a new secret; for 24 hours deliveries are signed with both',
  request: { params },
  responses: { 200: withSecret, ...refusalsOf(404) },
})

const probe = createRoute({
  ...{ method: 'post', path: '/v1/endpoints/{id}/test', operationId: 'testEndpoint', tags },
  summary: 'Send an endpoint.test, once; its delivery says what came of it',
  request: { params },
  responses: {
    201: { description: 'The delivery, not sent yet.', content: json(deliveryWithTries) },
    ...refusalsOf(404, 409),
  },
})

const deliveries = createRoute({
  method: 'get',
  ...{ path: '/v1/endpoints/{id}/deliveries', operationId: 'listDeliveries', tags },
  summary: 'List what an endpoint was sent, or is to be, newest first',
  request: { params, query: deliveryQuery },
  responses: { 200: { description: 'A page.', content: json(deliveryPage) }, ...refusalsOf(404) },
})

/** The endpoint, if this caller may see it. */
async function endpointOf(store: Store, id: string, caller: Caller): Promise<EndpointRow> {
  const row = await getEndpoint(store.db, id)
  if (!row || (row.created_by !== caller.keyId && !seesAll(caller.scopes)))
    throw refusals.notFound(`endpoint ${id}`)
  return row
}

/** A task that this key ordered, or one of every scope; nobody deletes it before the transaction ends. */
async function holdOwnTask(trx: Trx, id: string, caller: Caller): Promise<void> {
  const task = await holdTask(trx, id)
  if (!task || (task.created_by !== caller.keyId && !seesAll(caller.scopes)))
    throw refusals.notFound(`task ${id}`)
}

/** Webhook receivers. */
export function endpointRoutes(app: App, deps: AppDeps): void {
  writingRoutes(app, deps)
  readingRoutes(app, deps)
  const { store, endpoints } = deps

  app.openapi(rotate, async (c) => {
    const { id } = await endpointOf(store, c.req.valid('param').id, c.get('caller'))
    const row = await endpoints.rotate(id)
    if (!row) throw refusals.notFound(`endpoint ${id}`)
    await endpoints.hideSecrets()
    return c.json(presentSecret(row), 200)
  })

  app.openapi(probe, async (c) => {
    const caller = c.get('caller')
    const found = await endpointOf(store, c.req.valid('param').id, caller)
    if (found.disabled_at !== null) throw refusals.endpointDisabled()
    const row = await getDelivery(store.db, await endpoints.test(found, caller))
    if (!row) throw refusals.notFound(`endpoint ${found.id}`)
    c.header('location', `/v1/deliveries/${row.id}`)
    return c.json(presentTries(row, []), 201)
  })
}

function writingRoutes(app: App, deps: AppDeps): void {
  const { store, tasks, endpoints } = deps

  async function refuse(url: string | undefined): Promise<void> {
    const message = url === undefined ? null : await endpoints.problem(new URL(url))
    if (message !== null) throw refusals.invalid([{ field: 'url', message }])
  }

  app.openapi(create(tasks.policy), async (c) => {
    const given = c.req.valid('json')
    await refuse(given.url)
    const { task_id: taskId } = given
    const body = await once(deps, c, async (trx) => {
      if (taskId !== null) await holdOwnTask(trx, taskId, c.get('caller'))
      const row = await endpoints.create(trx, given, c.get('caller'))
      const location = `/v1/endpoints/${row?.id}`
      if (row) return { body: presentSecret(row), location, ...(taskId !== null && { taskId }) }
      const [who, max] = taskId === null ? ['key', endpointsMax] : ['task', endpointsOfTaskMax]
      const why = `This ${who} has ${max} endpoints, as many as it may: delete one.`
      throw refusals.conflict('too_many_endpoints', why)
    })
    await endpoints.hideSecrets()
    return c.json(body, 201)
  })

  app.openapi(update(tasks.policy), async (c) => {
    const { id } = await endpointOf(store, c.req.valid('param').id, c.get('caller'))
    const patch = c.req.valid('json')
    await refuse(patch.url)
    const row = await endpoints.change(id, patch)
    if (!row) throw refusals.notFound(`endpoint ${id}`)
    return c.json(presentEndpoint(row), 200)
  })

  app.openapi(remove, async (c) => {
    const { id } = await endpointOf(store, c.req.valid('param').id, c.get('caller'))
    if (!(await deleteEndpoint(store.db, id))) throw refusals.notFound(`endpoint ${id}`)
    return c.json({ id, type: 'endpoint_deleted' as const }, 200)
  })
}

function readingRoutes(app: App, { store }: AppDeps): void {
  app.openapi(list, async (c) => {
    const { limit = pageDefault, page: before, task_id: taskId } = c.req.valid('query')
    const { keyId, scopes } = c.get('caller')
    const mine = seesAll(scopes) ? null : keyId
    const rows = await listEndpoints(store.db, { keyId: mine, taskId, before, limit: limit + 1 })
    const data = rows.slice(0, limit).map(presentEndpoint)
    return c.json({ data, next_page: rows.length > limit ? (data.at(-1)?.id ?? null) : null }, 200)
  })

  app.openapi(get, async (c) => {
    const row = await endpointOf(store, c.req.valid('param').id, c.get('caller'))
    return c.json(presentEndpoint(row), 200)
  })

  app.openapi(deliveries, async (c) => {
    const { id } = await endpointOf(store, c.req.valid('param').id, c.get('caller'))
    const { status, limit = pageDefault, page: before } = c.req.valid('query')
    const o = { endpointId: id, status, before, limit: limit + 1 }
    const rows = await listDeliveries(store.db, o)
    const shown = rows.slice(0, limit)
    const next = rows.length > limit ? String(shown.at(-1)?.position) : null
    return c.json({ data: shown.map(presentDelivery), next_page: next }, 200)
  })
}
