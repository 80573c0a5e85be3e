import type { Context, Hono } from 'hono'
import type { PullRequest } from './fake-repository.ts'
import { type Environment, problem, pullOf, type Repository } from './github-answers.ts'
import { objectOf } from './wire.ts'

/** GitHub's bound of a label's name. */
const labelCharsMax = 50

/** Requests for reviews and labels of a pull request, with the rules that GitHub has for them. */
export function pullRequestRoutes(app: Hono<Environment>): void {
  app.post('/repos/:owner/:name/pulls/:number/requested_reviewers', async (c) => {
    const found = await ask(c)
    if (found instanceof Response) return found
    const { body, pull } = found
    const reviewers = namesOf(body['reviewers'])
    const teams = namesOf(body['team_reviewers'])
    const why = reviewProblem(c.var.repository, reviewers, teams)
    if (why !== null) return problem(c, 422, why)
    const changed = change(c.var.repository, pull, {
      reviewers: union(pull.reviewers, reviewers),
      teamReviewers: union(pull.teamReviewers, teams),
    })
    return c.json(await pullOf(c.var.repository, changed), 201)
  })
  // A pull request is an issue, too: labels are set there only.
  app.post('/repos/:owner/:name/issues/:number/labels', async (c) => {
    const found = await ask(c)
    if (found instanceof Response) return found
    const { body, pull } = found
    const names = namesOf(body['labels'])
    const long = names.some((name) => name.length > labelCharsMax || name === '')
    const invalid = { resource: 'Label', code: 'invalid', field: 'name' }
    if (long) return problem(c, 422, 'Validation Failed', [invalid])
    const { labels } = c.var.repository
    for (const name of names) if (known(labels, name) === undefined) labels.push(name)
    const set = names.map((name) => known(labels, name) ?? name)
    const changed = change(c.var.repository, pull, { labels: union(pull.labels, set) })
    return c.json(
      changed.labels.map((name) => ({ name })),
      200,
    )
  })
}

/** The pull request of the path, and the body, of a caller who may change it. */
async function ask(c: Context<Environment>) {
  if (c.req.header('authorization') === undefined) {
    return problem(c, 401, 'Requires authentication')
  }
  const json: unknown = await c.req.json().catch(() => undefined)
  if (json === undefined) return problem(c, 400, 'Problems parsing JSON')
  const number = Number(c.req.param('number'))
  const pull = c.var.repository.pullRequests.find((each) => each.number === number)
  return pull === undefined ? problem(c, 404, 'Not Found') : { body: objectOf(json), pull }
}

/** One who may not be asked is reason enough to ask nobody. The token is the owner's, the author. */
function reviewProblem(
  { owner, name, collaborators, teams: ownTeams }: Repository,
  reviewers: readonly string[],
  teams: readonly string[],
): string | null {
  if (known(reviewers, owner) !== undefined) {
    return 'Review cannot be requested from pull request author.'
  }
  const strangers = [
    ...reviewers.filter((login) => known(collaborators, login) === undefined),
    ...teams.filter((slug) => known(ownTeams, slug) === undefined),
  ]
  if (strangers.length === 0) return null
  return `Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the ${owner}/${name} repository.`
}

function change(
  { pullRequests }: Repository,
  pull: PullRequest,
  fields: Partial<PullRequest>,
): PullRequest {
  const changed = { ...pull, ...fields }
  pullRequests.splice(pullRequests.indexOf(pull), 1, changed)
  return changed
}

/** GitHub compares logins, slugs and labels without case. */
function known(list: readonly string[], name: string): string | undefined {
  return list.find((each) => each.toLowerCase() === name.toLowerCase())
}

function union(some: readonly string[], more: readonly string[]): string[] {
  return [...some, ...more.filter((name) => known(some, name) === undefined)]
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
