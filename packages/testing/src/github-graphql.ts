import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { Hono } from 'hono'
import {
  type Caller,
  callerOf,
  enter,
  type GitHubState,
  mayDo,
  visibleRepository,
} from './github-gate.ts'
import { objectOf } from './wire.ts'

/**
 * The GraphQL API, as small as `gh issue list` allows: issues of a repository, by the rules that
 * GitHub has for who sees which. It answers more than was selected, and makes no change.
 */
export function githubGraphql(state: GitHubState, path: string): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.post(path, async (c) => {
    const authorization = c.req.header('authorization') ?? null
    const request = { action: 'other', method: 'POST', path, authorization } as const
    const verdict = await enter(state, request)
    if (typeof verdict === 'object') return c.json({ message: verdict.message }, 500)
    const caller = callerOf(state, authorization)
    if (caller === 'impostor') return c.json({ message: 'Bad credentials' }, 401)
    if (caller === 'nobody')
      return c.json({ message: 'This endpoint requires you to be authenticated.' }, 401)
    return await answer(c, { state, caller, authorization })
  })
  app.all('*', (c) => c.json({ message: 'Not Found' }, 404))
  return app
}

async function answer(
  c: Context,
  o: { state: GitHubState; caller: Caller; authorization: string | null },
): Promise<Response> {
  const { query, variables } = objectOf(await c.req.json().catch(() => undefined))
  if (typeof query !== 'string') return c.json({ message: 'Problems parsing JSON' }, 400)
  const [, ofOwner = '', ofName = ''] =
    /\brepository\s*\(\s*owner:\s*("[^"]*"|\$\w+)\s*,\s*name:\s*("[^"]*"|\$\w+)/.exec(query) ?? []
  if (/\bmutation\b/.test(query) || ofOwner === '')
    return c.json(failed('undefinedField', 'This GitHub answers repository(owner, name) only.'))
  const read = (given: string): string =>
    given.startsWith('$') ? String(objectOf(variables)[given.slice(1)]) : given.slice(1, -1)
  const [owner, name] = [read(ofOwner), read(ofName)]
  const repository = visibleRepository(o.state, { ...o, owner, name })
  const nameWithOwner = `${owner}/${name}`
  if (repository === undefined) {
    const message = `Could not resolve to a Repository with the name '${nameWithOwner}'.`
    return c.json({ data: { repository: null }, ...failed('NOT_FOUND', message) })
  }
  if (!mayDo(o.caller, { repository, permissions: ['issues'], level: 'read' }))
    return c.json({
      data: { repository: null },
      ...failed('FORBIDDEN', 'Resource not accessible by integration'),
    })
  const nodes = repository.talk.issues
    .filter((issue) => issue.state === 'open')
    .map(({ number, title, body, labels }) => ({
      ...{ number, title, body, state: 'OPEN', updatedAt: '2026-01-01T00:00:00Z' },
      url: `${repository.url}/issues/${number}`,
      labels: { nodes: labels.map((label) => ({ name: label })), totalCount: labels.length },
    }))
  const pageInfo = { hasNextPage: false, endCursor: null }
  const issues = { totalCount: nodes.length, nodes, pageInfo }
  return c.json({ data: { repository: { nameWithOwner, hasIssuesEnabled: true, issues } } })
}

function failed(type: string, message: string): object {
  return { errors: [{ type, path: ['repository'], message }] }
}
