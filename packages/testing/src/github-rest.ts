import type { Context } from 'hono'
import { Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { PullRequest } from './fake-repository.ts'
import { askGit } from './git.ts'
import {
  type Environment,
  problem,
  pullOf,
  type Repository,
  repositoryOf,
  shaOf,
} from './github-answers.ts'
import type { GitHubAction, GitHubState } from './github-gate.ts'
import { type Caller, callerOf, enter, mayDo, visibleRepository } from './github-gate.ts'
import { issueRoutes } from './github-issues.ts'
import { pullRequestRoutes } from './github-reviews.ts'
import { objectOf } from './wire.ts'

/** The REST API's few routes that opening a pull request needs, in GitHub's own words. */
export function githubRest(state: GitHubState, basePath: string): Hono<Environment> {
  const app = new Hono<Environment>().basePath(basePath)
  app.use(async (c, next) => {
    const { method } = c.req
    const path = c.req.path + new URL(c.req.url).search
    const authorization = c.req.header('authorization') ?? null
    const action = actionOf(method, c.req.path)
    const verdict = await enter(state, { action, method, path, authorization })
    // Whoever asked died while the request was held: it counts as never arrived.
    if (c.env.outgoing.closed) return c.body(null)
    if (verdict !== undefined && verdict !== 'lose_answer') {
      return problem(c, verdict.status, verdict.message)
    }
    if (!isOfApps(c.req.path, basePath) && callerOf(state, authorization) === 'impostor') {
      return problem(c, 401, 'Bad credentials')
    }
    await next()
    if (verdict === 'lose_answer') c.env.outgoing.destroy()
    return undefined
  })
  appRoutes(app, state)
  app.use('/repos/:owner/:name/*', async (c, next) => {
    const { owner, name } = c.req.param()
    const authorization = c.req.header('authorization')
    const repository = visibleRepository(state, { owner, name, authorization })
    if (repository === undefined) return problem(c, 404, 'Not Found')
    const need = { repository, ...needOf(c.req.method, c.req.path) }
    const caller = callerOf(state, authorization)
    if (isInstallation(caller) && !mayDo(caller, need)) {
      return problem(c, 403, 'Resource not accessible by integration')
    }
    c.set('repository', repository)
    await next()
    return undefined
  })
  app.get('/repos/:owner/:name', (c) => c.json(repositoryOf(c.var.repository)))
  app.get('/repos/:owner/:name/pulls', async (c) => c.json(await listPulls(c)))
  app.get('/repos/:owner/:name/pulls/:number', async (c) => {
    const number = Number(c.req.param('number'))
    const found = c.var.repository.pullRequests.find((pull) => pull.number === number)
    if (found === undefined) return problem(c, 404, 'Not Found')
    const own = c.var.repository.talk.comments.filter((each) => each.number === number && !each.at)
    // Whether it can be merged is worked out when it is first asked for.
    const more = { comments: own.length, merged: false, mergeable: null }
    return c.json({ ...(await pullOf(c.var.repository, found)), ...more })
  })
  app.post('/repos/:owner/:name/pulls', async (c) => {
    if (c.req.header('authorization') === undefined) {
      return problem(c, 401, 'Requires authentication')
    }
    return await createPull(c)
  })
  pullRequestRoutes(app)
  issueRoutes(app)
  app.notFound((c) => problem(c, 404, 'Not Found'))
  return app
}

/** Requests with an app's own JWT, which is no token. */
function isOfApps(path: string, basePath: string): boolean {
  const own = path.slice(basePath.length)
  return own.startsWith('/app/') || /^\/repos\/[^/]+\/[^/]+\/installation$/.test(own)
}

function appRoutes(app: Hono<Environment>, { apps, repositories }: GitHubState): void {
  const answer = (c: Context<Environment>, { status, body }: { status: number; body: object }) =>
    c.json(body, status as ContentfulStatusCode)
  const jwtOf = (c: Context<Environment>) => c.req.header('authorization') ?? null
  app.get('/repos/:owner/:name/installation', (c) => {
    const { owner, name } = c.req.param()
    const repository = repositories.get(`${owner}/${name}`.toLowerCase())
    return answer(c, apps.installationOf(jwtOf(c), repository))
  })
  app.get('/app/installations/:id', (c) =>
    answer(c, apps.installation(jwtOf(c), c.req.param('id'))),
  )
  app.post('/app/installations/:id/access_tokens', async (c) => {
    const order: unknown = await c.req.json().catch(() => undefined)
    const o = { id: c.req.param('id'), order, repositories: [...repositories.values()] }
    return answer(c, apps.createToken(jwtOf(c), o))
  })
}

function isInstallation(caller: Caller): boolean {
  return typeof caller !== 'string'
}

/** What an installation needs for a request about a repository. */
function needOf(method: string, path: string) {
  const [, rest = ''] = /\/repos\/[^/]+\/[^/]+(.*)$/.exec(path) ?? []
  const level = method === 'GET' ? ('read' as const) : ('write' as const)
  // A pull request is an issue as well.
  if (/^\/issues\/\d+\//.test(rest)) return { permissions: ['issues', 'pull_requests'], level }
  if (rest.startsWith('/issues')) return { permissions: ['issues'], level }
  if (rest.startsWith('/pulls')) return { permissions: ['pull_requests'], level }
  if (rest.endsWith('/check-runs')) return { permissions: ['checks'], level }
  if (rest.endsWith('/status')) return { permissions: ['statuses'], level }
  return { permissions: rest === '' ? ['metadata'] : ['contents'], level }
}

const bodyCharsMax = 65_536
const titleCharsMax = 256
const pageMax = 100

function actionOf(method: string, path: string): GitHubAction {
  if (method === 'POST' && /\/pulls\/\d+\/requested_reviewers$/.test(path))
    return 'request_reviewers'
  if (method === 'POST' && /\/issues\/\d+\/labels$/.test(path)) return 'add_labels'
  if (method === 'POST' && /\/issues\/\d+\/comments$/.test(path)) return 'create_comment'
  const rest = /\/repos\/[^/]+\/[^/]+(\/pulls(?:\/\d+)?)?$/.exec(path)
  if (rest === null) return 'other'
  if (method === 'POST') return rest[1] === '/pulls' ? 'create_pull' : 'other'
  if (method !== 'GET') return 'other'
  if (rest[1] === undefined) return 'get_repository'
  return rest[1] === '/pulls' ? 'list_pulls' : 'get_pull'
}

/** GitHub knows a branch by `owner:branch`; a filter in any other form is ignored, as there. */
async function listPulls(c: Context<Environment>): Promise<object[]> {
  const { repository } = c.var
  const { head, base, state = 'open', page = '1', per_page: size = '30' } = c.req.query()
  const perPage = Math.min(pageMax, Number(size) || 30)
  const from = (Math.max(1, Number(page) || 1) - 1) * perPage
  const found = repository.pullRequests
    .filter((pull) => !head?.includes(':') || head === `${repository.owner}:${pull.head}`)
    .filter((pull) => base === undefined || base === pull.base)
    .filter((pull) => state === 'all' || (pull.state === 'open') === (state === 'open'))
    .toReversed()
    .slice(from, from + perPage)
  return await Promise.all(found.map((pull) => pullOf(repository, pull)))
}

async function createPull(c: Context<Environment>): Promise<Response> {
  const json: unknown = await c.req.json().catch(() => undefined)
  if (json === undefined) return problem(c, 400, 'Problems parsing JSON')
  const { repository } = c.var
  const { title, body = '', head: given, base, draft } = objectOf(json)
  const order = {
    title: typeof title === 'string' ? title.trim() : '',
    body: typeof body === 'string' ? body : '',
    head: String(given).replace(`${repository.owner}:`, ''),
    base: String(base),
    draft: draft === true,
  }
  const error = await findError(repository, order)
  if (error !== undefined) return problem(c, 422, 'Validation Failed', [error])
  const number = repository.nextNumber()
  const asked = { reviewers: [], teamReviewers: [], labels: [] }
  const url = `${repository.url}/pull/${number}`
  const open = { state: 'open', lastCommit: null } as const
  const pull: PullRequest = { ...order, ...asked, ...open, number, url }
  repository.pullRequests.push(pull)
  return c.json(await pullOf(repository, pull), 201)
}

type Order = Pick<PullRequest, 'title' | 'body' | 'head' | 'base' | 'draft'>

async function findError(repository: Repository, order: Order): Promise<object | undefined> {
  const { title, body, head, base } = order
  const custom = (message: string) => ({ resource: 'PullRequest', code: 'custom', message })
  const ofIssue = (field: string, more: object) => ({ resource: 'Issue', field, ...more })
  if (title === '') return ofIssue('title', { code: 'missing_field' })
  for (const [field, text, max] of [
    ['title', title, titleCharsMax],
    ['body', body, bodyCharsMax],
  ] as const) {
    const message = `${field} is too long (maximum is ${max} characters)`
    if (text.length > max) return ofIssue(field, { code: 'custom', message })
  }
  for (const [field, branch] of [
    ['head', head],
    ['base', base],
  ]) {
    const sha = await shaOf(repository, branch ?? '')
    if (sha === null) return { resource: 'PullRequest', field, code: 'invalid' }
  }
  const isSame = (pull: PullRequest): boolean =>
    pull.state === 'open' && pull.head === head && pull.base === base
  if (repository.pullRequests.some(isSame)) {
    return custom(`A pull request already exists for ${repository.owner}:${head}.`)
  }
  if (order.draft && repository.withoutDrafts) {
    return custom('Draft pull requests are not supported in this repository.')
  }
  const range = `refs/heads/${base}..refs/heads/${head}`
  const ahead = await askGit(repository.directory, 'rev-list', '--count', range)
  return ahead?.trim() === '0' ? custom(`No commits between ${base} and ${head}`) : undefined
}
