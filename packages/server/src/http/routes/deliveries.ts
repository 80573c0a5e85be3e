import { createRoute } from '@hono/zod-openapi'
import {
  deliveriesQuery,
  deliveryId,
  deliveryPage,
  deliveryWithTries,
  pageDefault,
} from '@longhaul/client/contract'
import { z } from 'zod'
import type { Caller } from '../../caller.ts'
import { requeueDelivery } from '../../store/deliveries.ts'
import { getDelivery, listDeliveries, listTries } from '../../store/delivery-log.ts'
import { getEndpoint } from '../../store/endpoints.ts'
import { atOneMoment } from '../../store/one-moment.ts'
import type { Db, DeliveryRow, EndpointRow } from '../../store/tables.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { noQuery } from '../no-query.ts'
import { presentDelivery, presentTries } from '../present-endpoint.ts'
import { json, refusalsOf } from '../responses.ts'
import { seesAll } from '../scopes.ts'

const params = z.object({ id: deliveryId })
const tags = ['webhooks']
const one = {
  description: 'The delivery, what it says, and the log of its tries.',
  content: json(deliveryWithTries),
}

const list = createRoute({
  ...{ method: 'get', path: '/v1/deliveries', operationId: 'listAllDeliveries', tags },
  summary:
    'List what is sent to this key’s endpoints and callbacks, newest first; with every scope, to all',
  request: { query: deliveriesQuery },
  responses: { 200: { description: 'A page.', content: json(deliveryPage) }, ...refusalsOf() },
})

const get = createRoute({
  ...{ method: 'get', path: '/v1/deliveries/{id}', operationId: 'getDelivery', tags },
  summary: 'Read a delivery: what is sent, and how every try was answered',
  request: { params, query: noQuery },
  responses: { 200: one, ...refusalsOf(404) },
})

const redeliver = createRoute({
  method: 'post',
  ...{ path: '/v1/deliveries/{id}/redeliver', operationId: 'redeliver', tags },
  summary: 'Send it again at once, under the same webhook-id, and for up to 24 hours from now',
  request: { params },
  responses: { 200: one, ...refusalsOf(404, 409) },
})

/** What receivers were sent, callbacks of orders included. */
export function deliveryRoutes(app: App, { store, clock }: AppDeps): void {
  app.openapi(list, async (c) => {
    const query = c.req.valid('query')
    const { status, task_id: taskId, limit = pageDefault, page: before } = query
    const { keyId, scopes } = c.get('caller')
    const rows = await listDeliveries(store.db, {
      ...{ status, taskId, before, limit: limit + 1 },
      ...(!seesAll(scopes) && { keyId }),
    })
    const shown = rows.slice(0, limit)
    const next = rows.length > limit ? String(shown.at(-1)?.position) : null
    return c.json({ data: shown.map(presentDelivery), next_page: next }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const caller = c.get('caller')
    const shown = await atOneMoment(store.db, async (trx) => {
      const { row } = await deliveryOf(trx, id, caller)
      return presentTries(row, await listTries(trx, id))
    })
    return c.json(shown, 200)
  })

  app.openapi(redeliver, async (c) => {
    const { id } = c.req.valid('param')
    const { row, endpoint } = await deliveryOf(store.db, id, c.get('caller'))
    if (endpoint !== null && endpoint.disabled_at !== null) throw refusals.endpointDisabled()
    const url = endpoint?.url ?? row.url
    const again = await store.db
      .transaction()
      .execute((trx) => requeueDelivery(trx, { id, url, now: new Date(clock.now()) }))
    if (!again) throw refusals.notFound(`delivery ${id}`)
    return c.json(presentTries(again, await listTries(store.db, id)), 200)
  })
}

/** The delivery with its endpoint, if this caller may see them. */
async function deliveryOf(
  db: Db,
  id: string,
  caller: Caller,
): Promise<{ row: DeliveryRow; endpoint: EndpointRow | null }> {
  const row = await getDelivery(db, id)
  const found = row?.endpoint_id ? await getEndpoint(db, row.endpoint_id) : undefined
  const owner = (found ?? row)?.created_by
  if (!row || (owner !== caller.keyId && !seesAll(caller.scopes)))
    throw refusals.notFound(`delivery ${id}`)
  return { row, endpoint: found ?? null }
}
