import type { Context, Hono } from 'hono'
import { askGit } from './git.ts'
import { type Environment, problem, type Repository } from './github-answers.ts'
import type { Comment, Issue } from './issues.ts'
import { objectOf } from './wire.ts'

const bodyCharsMax = 65_536
const pageMax = 100
const base = '/repos/:owner/:name'

/** Issues, comments, reviews and checks, by the rules that GitHub has for them. */
export function issueRoutes(app: Hono<Environment>): void {
  app.get(`${base}/issues`, (c) => c.json(pageOf(c, listed(c))))
  app.get(`${base}/issues/:number`, (c) => {
    const found = every(c.var.repository).find(({ number }) => number === numberIn(c))
    return found ? c.json(issueOf(c.var.repository, found)) : problem(c, 404, 'Not Found')
  })
  app.get(`${base}/issues/:number/comments`, (c) => {
    const { comments } = c.var.repository.talk
    const own = comments.filter(({ number, at }) => number === numberIn(c) && at === undefined)
    return c.json(pageOf(c, own).map((comment) => commentOf(c.var.repository, comment)))
  })
  app.post(`${base}/issues/:number/comments`, createComment)
  app.get(`${base}/pulls/:number/comments`, (c) => {
    const { comments } = c.var.repository.talk
    const own = comments.filter(({ number, at }) => number === numberIn(c) && at !== undefined)
    const sorted = c.req.query('direction') === 'desc' ? own.toReversed() : own
    return c.json(pageOf(c, sorted).map((comment) => commentOf(c.var.repository, comment)))
  })
  app.get(`${base}/pulls/:number/reviews`, (c) => {
    const own = c.var.repository.talk.reviews.filter(({ number }) => number === numberIn(c))
    const reviews = pageOf(c, own).map(({ author, ...review }) => ({
      ...review,
      user: { login: author },
    }))
    return c.json(reviews)
  })
  app.get(`${base}/commits/:ref/check-runs`, (c) => checks(c, 'check'))
  app.get(`${base}/commits/:ref/status`, (c) => checks(c, 'status'))
}

async function createComment(c: Context<Environment>): Promise<Response> {
  if (c.req.header('authorization') === undefined) return problem(c, 401, 'Requires authentication')
  const { repository } = c.var
  const number = numberIn(c)
  const found = every(repository).find((each) => each.number === number)
  if (found === undefined) return problem(c, 404, 'Not Found')
  if (found.locked) return problem(c, 403, 'Unable to create comment because issue is locked.')
  const json: unknown = await c.req.json().catch(() => undefined)
  if (json === undefined) return problem(c, 400, 'Problems parsing JSON')
  const { body } = objectOf(json)
  const wrong = (code: string, message?: string) =>
    problem(c, 422, 'Validation Failed', [
      { resource: 'IssueComment', field: 'body', code, message },
    ])
  if (typeof body !== 'string') return wrong('missing_field')
  if (body.trim() === '') return wrong('custom', 'body cannot be blank')
  if (body.length > bodyCharsMax)
    return wrong('custom', `body is too long (maximum is ${bodyCharsMax} characters)`)
  // The token is the owner's.
  const comment = repository.talk.comment({ number, author: repository.owner, body })
  return c.json(commentOf(repository, comment), 201)
}

/** The newest first, pull requests among them: to GitHub they are issues with something more. */
function listed(c: Context<Environment>): object[] {
  const { state = 'open', labels = '' } = c.req.query()
  const wanted = labels.split(',').filter((label) => label !== '')
  return every(c.var.repository)
    .filter((issue) => state === 'all' || issue.state === state)
    .filter((issue) => wanted.every((label) => issue.labels.includes(label)))
    .toSorted((a, b) => b.number - a.number)
    .map((issue) => issueOf(c.var.repository, issue))
}

function every({ talk, pullRequests, owner }: Repository): (Issue & { isPull?: true })[] {
  const pulls = pullRequests.map((pull) => ({
    ...pull,
    ...{ author: owner, state: 'open' as const, locked: false, isPull: true as const },
  }))
  return [...talk.issues, ...pulls]
}

function issueOf(repository: Repository, issue: Issue & { isPull?: true }): object {
  const { number, title, body, state, locked, labels, author, isPull } = issue
  const path = isPull ? 'pull' : 'issues'
  return {
    ...{ number, title, body, state, locked, user: { login: author } },
    labels: labels.map((name) => ({ name })),
    comments: repository.talk.comments.filter((each) => each.number === number && !each.at).length,
    html_url: `${repository.url}/${path}/${number}`,
    ...(isPull ? { pull_request: { html_url: `${repository.url}/pull/${number}` } } : {}),
  }
}

function commentOf({ url }: Repository, { id, number, author, body, at }: Comment): object {
  const html_url = `${url}/issues/${number}#issuecomment-${id}`
  return { id, body, user: { login: author }, html_url, created_at: time, ...at }
}

const time = '2026-01-01T00:00:00Z'

async function checks(c: Context<Environment>, kind: 'check' | 'status'): Promise<Response> {
  const { repository } = c.var
  const ref = c.req.param('ref') ?? ''
  const sha = await askGit(
    repository.directory,
    ...['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`],
  )
  if (sha === null) return problem(c, 422, `No commit found for SHA: ${ref}`)
  const own = repository.talk.checks.filter((each) => each.sha === sha.trim() && each.kind === kind)
  if (kind === 'check') {
    const runs = own.map(({ name, conclusion, summary }) => ({
      ...{ name, conclusion, status: conclusion === null ? 'in_progress' : 'completed' },
      output: { title: null, summary },
      html_url: `${repository.url}/runs/1`,
    }))
    return c.json({ total_count: runs.length, check_runs: pageOf(c, runs) })
  }
  const statuses = own.map(({ name, conclusion, summary }) => ({
    ...{ context: name, state: conclusion ?? 'pending', description: summary },
    target_url: `${repository.url}/status/1`,
  }))
  return c.json({ sha: sha.trim(), total_count: statuses.length, statuses: pageOf(c, statuses) })
}

function pageOf<T>(c: Context<Environment>, all: readonly T[]): readonly T[] {
  const { page = '1', per_page: size = '30' } = c.req.query()
  const perPage = Math.min(pageMax, Number(size) || 30)
  const from = (Math.max(1, Number(page) || 1) - 1) * perPage
  return all.slice(from, from + perPage)
}

function numberIn(c: Context<Environment>): number {
  return Number(c.req.param('number'))
}
