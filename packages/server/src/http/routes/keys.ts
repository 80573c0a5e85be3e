import { createRoute } from '@hono/zod-openapi'
import {
  apiKey,
  countParam,
  type KeyUpdate,
  keyCreate,
  keyId,
  keyMade,
  keyPage,
  keyUpdate,
  pageDefault,
  pageMax,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { getKey, insertKey, listKeys, revokeKey, updateKey } from '../../store/keys.ts'
import type { KeyRow, Trx } from '../../store/tables.ts'
import { wakeForBudget } from '../../store/tasks.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { mintKey } from '../keys.ts'
import { noQuery } from '../no-query.ts'
import { presentKeys } from '../present-key.ts'
import { json, refusalsOf } from '../responses.ts'
import { allows } from '../scopes.ts'

const params = z.object({ id: keyId })

const create = createRoute({
  method: 'post',
  path: '/v1/keys',
  operationId: 'createKey',
  summary: 'Make an API key, which is shown this once',
  description:
    'Takes no Idempotency-Key: a repeat would have to be answered the key, which is never stored.',
  tags: ['keys'],
  request: { body: { required: true, content: json(keyCreate) } },
  responses: {
    201: { description: 'The key.', content: json(keyMade) },
    ...refusalsOf(413, 415),
  },
})

const list = createRoute({
  method: 'get',
  path: '/v1/keys',
  operationId: 'listKeys',
  summary: 'List API keys, newest first, revoked ones included',
  tags: ['keys'],
  request: {
    query: z.strictObject({
      limit: countParam(1, pageMax).optional(),
      page: keyId.optional().describe('Opaque: the next page as the page before named it.'),
    }),
  },
  responses: { 200: { description: 'A page.', content: json(keyPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/keys/{id}',
  operationId: 'getKey',
  summary: 'Read what is known of an API key, and what it has spent today',
  tags: ['keys'],
  request: { params, query: noQuery },
  responses: { 200: { description: 'The key.', content: json(apiKey) }, ...refusalsOf(404) },
})

const update = createRoute({
  method: 'post',
  path: '/v1/keys/{id}',
  operationId: 'updateKey',
  summary: 'Rename a key, or change what it may spend in a day: tasks that wait for that go on',
  tags: ['keys'],
  request: { params, body: { required: true, content: json(keyUpdate) } },
  responses: {
    200: { description: 'The key as it is now.', content: json(apiKey) },
    ...refusalsOf(404, 413, 415),
  },
})

const revoke = createRoute({
  method: 'post',
  path: '/v1/keys/{id}/revoke',
  operationId: 'revokeKey',
  summary: 'Let nobody in with a key any more; what it ordered goes on',
  tags: ['keys'],
  request: { params, body: { required: false, content: json(z.strictObject({})) } },
  responses: {
    200: { description: 'The key, revoked.', content: json(apiKey) },
    ...refusalsOf(404, 413, 415),
  },
})

/** The routes of API keys. */
export function keyRoutes(app: App, { store, clock }: AppDeps): void {
  const now = (): Date => new Date(clock.now())
  const present = (rows: readonly KeyRow[]) => presentKeys(store.db, rows, now())
  /** Throws the 404 when there is no such key. */
  const one = async (id: string, row: KeyRow | undefined) => {
    const [shown] = row ? await present([row]) : []
    if (shown === undefined) throw refusals.notFound(`key ${id}`)
    return shown
  }

  app.openapi(create, async (c) => {
    const { name, scopes, day_budget_usd: budget, concurrency } = c.req.valid('json')
    const caller = c.get('caller')
    const beyond = scopes.find((scope) => !allows(caller.scopes, scope))
    if (beyond !== undefined) throw refusals.scopeMissing(beyond, caller.scopes)
    const { id, key, hash } = mintKey(clock)
    const limits = {
      ...(budget != null && { day_budget_usd: budget }),
      ...(concurrency != null && { concurrency }),
    }
    const made = { id, hash, name, scopes, limits, createdBy: caller.keyId, now: now() }
    await insertKey(store.db, made)
    c.header('location', `/v1/keys/${id}`)
    return c.json({ ...(await one(id, await getKey(store.db, id))), key }, 201)
  })

  app.openapi(list, async (c) => {
    const { limit = pageDefault, page } = c.req.valid('query')
    const after = page !== undefined && { before: page }
    const rows = await listKeys(store.db, { limit: limit + 1, ...after })
    const next = rows.length > limit ? (rows[limit - 1]?.id ?? null) : null
    const data = await present(rows.slice(0, limit))
    return c.json({ data, next_page: next }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    return c.json(await one(id, await getKey(store.db, id)), 200)
  })

  app.openapi(update, async (c) => {
    const { id } = c.req.valid('param')
    const given = c.req.valid('json')
    const row = await store.db
      .transaction()
      .execute((trx) => changeKey(trx, { id, given, now: now() }))
    return c.json(await one(id, row), 200)
  })

  app.openapi(revoke, async (c) => {
    const { id } = c.req.valid('param')
    return c.json(await one(id, await revokeKey(store.db, { id, now: now() })), 200)
  })
}

async function changeKey(
  trx: Trx,
  o: { readonly id: string; readonly given: KeyUpdate; readonly now: Date },
): Promise<KeyRow | undefined> {
  const { id, given, now } = o
  const { name, day_budget_usd: budget, concurrency } = given
  const limits = {
    ...(budget !== undefined && { day_budget_usd: budget }),
    ...(concurrency !== undefined && { concurrency }),
  }
  const row = await updateKey(trx, {
    id,
    ...(name !== undefined && { name }),
    ...(Object.keys(limits).length > 0 && { limits }),
  })
  if (row !== undefined && budget !== undefined) await wakeForBudget(trx, { keyId: id, now })
  return row
}
