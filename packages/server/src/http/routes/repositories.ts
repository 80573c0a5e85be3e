import { createRoute } from '@hono/zod-openapi'
import {
  countParam,
  type OrderPolicy,
  pageDefault,
  pageMax,
  parseRepoUrl,
  repository,
  repositoryCreate,
  repositoryDeleted,
  repositoryId,
  repositoryPage,
  repositoryUpdate,
  repoUrlField,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { deleteRepository, getRepository, listRepositories } from '../../store/repositories.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { noQuery } from '../no-query.ts'
import { presentRepository } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'

const params = z.object({ id: repositoryId })

/** The query of the list. */
const query = z.strictObject({
  url: repoUrlField(() => null)
    .optional()
    .describe('The repository of this URL only.'),
  limit: countParam(1, pageMax).optional(),
  page: repositoryId.optional().describe('Opaque: the next page as the page before named it.'),
})

function create(policy: OrderPolicy) {
  return createRoute({
    method: 'post',
    path: '/v1/repositories',
    operationId: 'createRepository',
    summary: 'Give a repository settings, for the tasks that are ordered on it from now on',
    tags: ['repositories'],
    request: {
      headers: idempotencyHeaders,
      body: { required: true, content: json(repositoryCreate(policy)) },
    },
    responses: {
      201: { description: 'The repository.', content: json(repository) },
      ...refusalsOf(409, 413, 415),
    },
  })
}

const list = createRoute({
  method: 'get',
  path: '/v1/repositories',
  operationId: 'listRepositories',
  summary: 'List repositories, newest first',
  tags: ['repositories'],
  request: { query },
  responses: { 200: { description: 'A page.', content: json(repositoryPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/repositories/{id}',
  operationId: 'getRepository',
  summary: 'Read a repository',
  tags: ['repositories'],
  request: { params, query: noQuery },
  responses: {
    200: { description: 'The repository.', content: json(repository) },
    ...refusalsOf(404),
  },
})

function update(policy: OrderPolicy) {
  return createRoute({
    method: 'post',
    path: '/v1/repositories/{id}',
    operationId: 'updateRepository',
    summary: 'Change settings: an absent field stays, null clears it',
    tags: ['repositories'],
    request: { params, body: { required: true, content: json(repositoryUpdate(policy)) } },
    responses: {
      200: { description: 'The repository as it is now.', content: json(repository) },
      ...refusalsOf(404, 413, 415),
    },
  })
}

const remove = createRoute({
  method: 'delete',
  path: '/v1/repositories/{id}',
  operationId: 'deleteRepository',
  summary: 'Forget the settings; tasks that were made with them keep them',
  tags: ['repositories'],
  request: { params },
  responses: {
    200: { description: 'It is gone.', content: json(repositoryDeleted) },
    ...refusalsOf(404),
  },
})

/** The routes of repositories' settings. */
export function repositoryRoutes(app: App, deps: AppDeps): void {
  const { store, tasks, repositories } = deps

  app.openapi(create(tasks.policy), async (c) => {
    const given = c.req.valid('json')
    const body = await once(deps, c, async (trx) => {
      const row = await repositories.create(trx, given, c.get('caller'))
      if (!row)
        throw refusals.conflict(
          'repository_exists',
          `${given.url} has settings already: change them.`,
        )
      return { body: presentRepository(row), location: `/v1/repositories/${row.id}` }
    })
    return c.json(body, 201)
  })

  app.openapi(list, async (c) => {
    const { url, limit = pageDefault, page } = c.req.valid('query')
    const rows = await listRepositories(store.db, {
      ...(url !== undefined && { url: parseRepoUrl(url).url }),
      ...(page !== undefined && { before: page }),
      limit: limit + 1,
    })
    const next = rows.length > limit ? (rows[limit - 1]?.id ?? null) : null
    return c.json({ data: rows.slice(0, limit).map(presentRepository), next_page: next }, 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const row = await getRepository(store.db, id)
    if (!row) throw refusals.notFound(`repository ${id}`)
    return c.json(presentRepository(row), 200)
  })

  app.openapi(update(tasks.policy), async (c) => {
    const { id } = c.req.valid('param')
    const row = await repositories.change(id, c.req.valid('json'))
    if (!row) throw refusals.notFound(`repository ${id}`)
    return c.json(presentRepository(row), 200)
  })

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await deleteRepository(store.db, id))) throw refusals.notFound(`repository ${id}`)
    return c.json({ id, type: 'repository_deleted' as const }, 200)
  })
}
