import { createRoute } from '@hono/zod-openapi'
import {
  countParam,
  environment,
  environmentCreate,
  environmentId,
  environmentPage,
  environmentUpdate,
  pageDefault,
  pageMax,
} from '@longhaul/client/contract'
import { z } from 'zod'
import {
  type EnvironmentRow,
  getEnvironment,
  listEnvironments,
  listEnvironmentVersions,
} from '../../store/environments.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { presentEnvironment } from '../present-environment.ts'
import { json, refusalsOf } from '../responses.ts'

const params = z.object({ id: environmentId })
/** The number of a version, in a query. */
const version = countParam(1, 1_000_000)
const beta = z.string().optional().describe('Sent by older official clients; ignored.')
const limit = countParam(1, pageMax).optional()

const create = createRoute({
  method: 'post',
  path: '/v1/environments',
  operationId: 'createEnvironment',
  summary: 'Make an environment, with its first version',
  tags: ['environments'],
  request: {
    headers: idempotencyHeaders,
    query: z.strictObject({ beta }),
    body: { required: true, content: json(environmentCreate) },
  },
  responses: {
    201: { description: 'The environment.', content: json(environment) },
    ...refusalsOf(409, 413, 415),
  },
})

const list = createRoute({
  method: 'get',
  path: '/v1/environments',
  operationId: 'listEnvironments',
  summary: 'List environments in their newest versions, newest first',
  tags: ['environments'],
  request: {
    query: z.strictObject({
      ...{ limit, beta },
      include_archived: z.enum(['true', 'false']).optional(),
      page: environmentId.optional().describe('Opaque: the next page as the page before named it.'),
    }),
  },
  responses: { 200: { description: 'A page.', content: json(environmentPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/environments/{id}',
  operationId: 'getEnvironment',
  summary: 'Read an environment, in its newest version or in another one',
  tags: ['environments'],
  request: { params, query: z.strictObject({ version: version.optional(), beta }) },
  responses: {
    200: { description: 'The environment.', content: json(environment) },
    ...refusalsOf(404),
  },
})

const update = createRoute({
  method: 'post',
  path: '/v1/environments/{id}',
  operationId: 'updateEnvironment',
  summary: 'Make the next version: an absent field stays, null clears it',
  tags: ['environments'],
  request: {
    params,
    query: z.strictObject({ beta }),
    body: { required: true, content: json(environmentUpdate) },
  },
  responses: {
    200: {
      description: 'The newest version; the one before, if nothing changed.',
      content: json(environment),
    },
    ...refusalsOf(404, 409, 413, 415),
  },
})

const versions = createRoute({
  method: 'get',
  path: '/v1/environments/{id}/versions',
  operationId: 'listEnvironmentVersions',
  summary: 'List the versions of an environment, newest first',
  tags: ['environments'],
  request: {
    params,
    query: z.strictObject({
      ...{ limit, beta },
      page: version.optional().describe('Opaque: the next page as the page before named it.'),
    }),
  },
  responses: {
    200: { description: 'A page.', content: json(environmentPage) },
    ...refusalsOf(404),
  },
})

const archive = createRoute({
  method: 'post',
  path: '/v1/environments/{id}/archive',
  operationId: 'archiveEnvironment',
  summary: 'Take an environment from new tasks; those that have it keep it',
  tags: ['environments'],
  request: {
    params,
    query: z.strictObject({ beta }),
    body: { required: false, content: json(z.strictObject({})) },
  },
  responses: {
    200: { description: 'The environment, archived.', content: json(environment) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

/** The routes of environments and their versions. */
export function environmentRoutes(app: App, deps: AppDeps): void {
  const { store, environments } = deps

  app.openapi(create, async (c) => {
    const body = await once(deps, c, async (trx) => {
      const row = await environments.create(trx, c.req.valid('json'), c.get('caller'))
      return { body: presentEnvironment(row), location: `/v1/environments/${row.id}` }
    })
    return c.json(body, 201)
  })

  app.openapi(list, async (c) => {
    const query = c.req.valid('query')
    const { limit: max = pageDefault, page } = query
    const archived = query.include_archived === 'true'
    const after = page !== undefined && { before: page }
    const rows = await listEnvironments(store.db, { archived, limit: max + 1, ...after })
    return c.json(pageOf(rows, { max, cursor: ({ id }) => id }), 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const { version: wanted } = c.req.valid('query')
    const row = await getEnvironment(store.db, id, wanted)
    if (!row)
      throw refusals.notFound(
        `environment ${id}${wanted === undefined ? '' : ` of version ${wanted}`}`,
      )
    return c.json(presentEnvironment(row), 200)
  })

  app.openapi(update, async (c) => {
    const { id } = c.req.valid('param')
    const row = await environments.change({ id, ...c.req.valid('json') }, c.get('caller'))
    if (!row) throw refusals.notFound(`environment ${id}`)
    return c.json(presentEnvironment(row), 200)
  })

  app.openapi(versions, async (c) => {
    const { id } = c.req.valid('param')
    const { limit: max = pageDefault, page } = c.req.valid('query')
    if (!(await getEnvironment(store.db, id))) throw refusals.notFound(`environment ${id}`)
    const after = page !== undefined && { before: page }
    const rows = await listEnvironmentVersions(store.db, { id, limit: max + 1, ...after })
    return c.json(pageOf(rows, { max, cursor: (row) => String(row.version) }), 200)
  })

  app.openapi(archive, async (c) => {
    const { id } = c.req.valid('param')
    const row = await environments.archive(id)
    if (!row) throw refusals.notFound(`environment ${id}`)
    return c.json(presentEnvironment(row), 200)
  })
}

/** A page of rows of which one more than `max` was asked for. */
function pageOf(
  rows: readonly EnvironmentRow[],
  { max, cursor }: { readonly max: number; readonly cursor: (row: EnvironmentRow) => string },
) {
  const last = rows.length > max ? rows[max - 1] : undefined
  return { data: rows.slice(0, max).map(presentEnvironment), next_page: last ? cursor(last) : null }
}
