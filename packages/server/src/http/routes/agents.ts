import { createRoute } from '@hono/zod-openapi'
import {
  type AgentPolicy,
  agent,
  agentCreate,
  agentId,
  agentPage,
  agentUpdate,
  countParam,
  pageDefault,
  pageMax,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { type AgentRow, getAgent, listAgents, listAgentVersions } from '../../store/agents.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { presentAgent } from '../present-agent.ts'
import { json, refusalsOf } from '../responses.ts'

const params = z.object({ id: agentId })
/** The number of a version, in a query. */
const version = countParam(1, 1_000_000)
const beta = z.string().optional().describe('Sent by older official clients; ignored.')
const limit = countParam(1, pageMax).optional()

function create(policy: AgentPolicy) {
  return createRoute({
    method: 'post',
    path: '/v1/agents',
    operationId: 'createAgent',
    summary: 'Make an agent, with its first version',
    tags: ['agents'],
    request: {
      headers: idempotencyHeaders,
      query: z.strictObject({ beta }),
      body: { required: true, content: json(agentCreate(policy)) },
    },
    responses: {
      201: { description: 'The agent.', content: json(agent) },
      ...refusalsOf(409, 413, 415),
    },
  })
}

const list = createRoute({
  method: 'get',
  path: '/v1/agents',
  operationId: 'listAgents',
  summary: 'List agents in their newest versions, newest first',
  tags: ['agents'],
  request: {
    query: z.strictObject({
      ...{ limit, beta },
      include_archived: z.enum(['true', 'false']).optional(),
      page: agentId.optional().describe('Opaque: the next page as the page before named it.'),
    }),
  },
  responses: { 200: { description: 'A page.', content: json(agentPage) }, ...refusalsOf() },
})

const get = createRoute({
  method: 'get',
  path: '/v1/agents/{id}',
  operationId: 'getAgent',
  summary: 'Read an agent, in its newest version or in another one',
  tags: ['agents'],
  request: { params, query: z.strictObject({ version: version.optional(), beta }) },
  responses: { 200: { description: 'The agent.', content: json(agent) }, ...refusalsOf(404) },
})

function update(policy: AgentPolicy) {
  return createRoute({
    method: 'post',
    path: '/v1/agents/{id}',
    operationId: 'updateAgent',
    summary: 'Make the next version: an absent field stays, null clears it',
    tags: ['agents'],
    request: {
      params,
      query: z.strictObject({ beta }),
      body: { required: true, content: json(agentUpdate(policy)) },
    },
    responses: {
      200: {
        description: 'The newest version; the one before, if nothing changed.',
        content: json(agent),
      },
      ...refusalsOf(404, 409, 413, 415),
    },
  })
}

const versions = createRoute({
  method: 'get',
  path: '/v1/agents/{id}/versions',
  operationId: 'listAgentVersions',
  summary: 'List the versions of an agent, newest first',
  tags: ['agents'],
  request: {
    params,
    query: z.strictObject({
      ...{ limit, beta },
      page: version.optional().describe('Opaque: the next page as the page before named it.'),
    }),
  },
  responses: { 200: { description: 'A page.', content: json(agentPage) }, ...refusalsOf(404) },
})

const archive = createRoute({
  method: 'post',
  path: '/v1/agents/{id}/archive',
  operationId: 'archiveAgent',
  summary: 'Take an agent from new tasks; those that have it keep it',
  tags: ['agents'],
  request: {
    params,
    query: z.strictObject({ beta }),
    body: { required: false, content: json(z.strictObject({})) },
  },
  responses: {
    200: { description: 'The agent, archived.', content: json(agent) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

/** The routes of agents and their versions. */
export function agentRoutes(app: App, deps: AppDeps): void {
  const { store, agents } = deps

  app.openapi(create(agents.policy), async (c) => {
    const body = await once(deps, c, async (trx) => {
      const row = await agents.create(trx, c.req.valid('json'), c.get('caller'))
      return { body: presentAgent(row), location: `/v1/agents/${row.id}` }
    })
    return c.json(body, 201)
  })

  app.openapi(list, async (c) => {
    const query = c.req.valid('query')
    const { limit: max = pageDefault, page } = query
    const archived = query.include_archived === 'true'
    const after = page !== undefined && { before: page }
    const rows = await listAgents(store.db, { archived, limit: max + 1, ...after })
    return c.json(pageOf(rows, { max, cursor: ({ id }) => id }), 200)
  })

  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param')
    const { version: wanted } = c.req.valid('query')
    const row = await getAgent(store.db, id, wanted)
    if (!row)
      throw refusals.notFound(`agent ${id}${wanted === undefined ? '' : ` of version ${wanted}`}`)
    return c.json(presentAgent(row), 200)
  })

  app.openapi(update(agents.policy), async (c) => {
    const { id } = c.req.valid('param')
    const row = await agents.change({ id, ...c.req.valid('json') }, c.get('caller'))
    if (!row) throw refusals.notFound(`agent ${id}`)
    return c.json(presentAgent(row), 200)
  })

  app.openapi(versions, async (c) => {
    const { id } = c.req.valid('param')
    const { limit: max = pageDefault, page } = c.req.valid('query')
    if (!(await getAgent(store.db, id))) throw refusals.notFound(`agent ${id}`)
    const after = page !== undefined && { before: page }
    const rows = await listAgentVersions(store.db, { id, limit: max + 1, ...after })
    return c.json(pageOf(rows, { max, cursor: (row) => String(row.version) }), 200)
  })

  app.openapi(archive, async (c) => {
    const { id } = c.req.valid('param')
    const row = await agents.archive(id)
    if (!row) throw refusals.notFound(`agent ${id}`)
    return c.json(presentAgent(row), 200)
  })
}

/** A page of rows of which one more than `max` was asked for. */
function pageOf(
  rows: readonly AgentRow[],
  { max, cursor }: { readonly max: number; readonly cursor: (row: AgentRow) => string },
) {
  const last = rows.length > max ? rows[max - 1] : undefined
  return { data: rows.slice(0, max).map(presentAgent), next_page: last ? cursor(last) : null }
}
