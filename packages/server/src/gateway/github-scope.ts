import type { GitHubPolicy } from './policy.ts'

/** A request to GitHub's API that the policy grants. `path` has the query, below the API's base. */
export type GitHubRequest =
  | { readonly kind: 'read'; readonly path: string }
  | { readonly kind: 'comment'; readonly path: string; readonly number: number }
  | { readonly kind: 'graphql' }

/** GitHub's own URLs are shorter. */
const urlCharsMax = 4_096

/** First words of what may be read of a repository; whatever is not here cannot. */
const readable = new Set([
  ...['actions', 'assignees', 'branches', 'check-runs', 'check-suites', 'comments', 'commits'],
  ...['community', 'compare', 'contents', 'contributors', 'events', 'git', 'issues', 'labels'],
  ...['languages', 'license', 'milestones', 'pulls', 'readme', 'releases', 'stats', 'statuses'],
  ...['subscribers', 'tags', 'topics'],
])
/** Of the actions, what tells how they went; not their secrets, variables and runners. */
const readableActions = new Set(['artifacts', 'jobs', 'runs', 'workflows'])
/** Below an issue, what shows issues of other repositories whole, as far as the credential sees them. */
const linkedIssues = new Set(['dependencies', 'parent', 'sub_issues', 'timeline'])
/** First words before names that may have a colon: those of files and of labels. */
const colonNames = new Set(['contents', 'labels', 'readme'])
/** Parameters that name a commit; those that only filter, such as `head`, lead nowhere. */
const commitParameter = /^\W*(ref|sha)\b/i

/**
 * Judges method, path and query of a request to the API against the one repository of the policy.
 * It may read what is said and checked there, and comment on an issue or a pull request; everything
 * else is refused, and so is any path that a server might read differently from us. Pure; `why` is a
 * sentence that gh prints.
 */
export function judgeGitHubRequest(o: {
  method: string
  url: string
  github: GitHubPolicy
}): GitHubRequest | { readonly kind: 'refused'; readonly why: string } {
  const { owner, repo, graphql } = o.github
  const own = `repos/${owner}/${repo}`
  const { path: asked, query } = split(o.url)
  if (!isPlain(asked) || !isPlainQuery(query)) return refused('That is no path of this API.')
  if (asked === '/graphql' && o.method === 'POST')
    return graphql
      ? { kind: 'graphql' }
      : refused(
          `GraphQL cannot be kept to one repository with the server's credential; use the REST API: gh api ${own}/issues, gh api ${own}/pulls.`,
        )
  if (asked === '/rate_limit' && o.method === 'GET') return { kind: 'read', path: asked }
  const [, first = '', ownerAsked = '', repoAsked = '', ...rest] = asked.split('/')
  const isOwn =
    first === 'repos' &&
    ownerAsked.toLowerCase() === owner.toLowerCase() &&
    repoAsked.toLowerCase() === repo.toLowerCase()
  if (!isOwn) return refused(`Only ${own} may be reached from this session: gh api ${own}/….`)
  // Spelled as the policy has it, whatever the client wrote.
  const path = ['', own, ...rest].join('/')
  return judgeOwn({ method: o.method, rest, query, upstream: path + query })
}

/** Judges what stands behind the repository in a path. */
function judgeOwn(o: {
  method: string
  rest: readonly string[]
  query: string
  upstream: string
}): ReturnType<typeof judgeGitHubRequest> {
  const { method, rest, query, upstream: path } = o
  if (method === 'GET' || method === 'HEAD') {
    if (!mayRead(rest))
      return refused(`${rest.slice(0, 4).join('/')} may not be read from this session.`)
    const why = problemElsewhere(rest, query)
    return why === null ? { kind: 'read', path } : refused(why)
  }
  const [issues, digits = '', comments, ...more] = rest
  const isComment = issues === 'issues' && comments === 'comments' && more.length === 0
  if (method === 'POST' && isComment && /^[1-9]\d{0,9}$/.test(digits) && query === '')
    return { kind: 'comment', path, number: Number(digits) }
  return refused(
    'Only comments on an issue or a pull request may be written from this session; the server opens the pull request when the task is done.',
  )
}

function mayRead([first, second = '', ...more]: readonly string[]): boolean {
  if (first === undefined) return true
  if (first === 'branches' && more.some(isProtection)) return false
  return first === 'actions' ? readableActions.has(second) : readable.has(first)
}

/** The settings of a protected branch; the name of a branch may have slashes. */
function isProtection(part: string): boolean {
  return part.toLowerCase() === 'protection'
}

/**
 * Why a path of one's own repository leads out of it; null if it does not. GitHub reads `owner:branch`
 * and `owner:repo:branch` as commits of a fork, in the two sides of a comparison at least:
 * https://docs.github.com/en/rest/commits/commits#compare-two-commits. No name of git's has a colon.
 */
function problemElsewhere(rest: readonly string[], query: string): string | null {
  const [first = '', , third = ''] = rest
  if (first === 'issues' && linkedIssues.has(third.toLowerCase()))
    return `The ${third} of an issue may show issues of other repositories, so it may not be read from this session.`
  const isCommitElsewhere = !colonNames.has(first) && rest.some((part) => part.includes(':'))
  return isCommitElsewhere || namesCommitElsewhere(query)
    ? 'A name with a colon may be a branch of another repository, so it may not be read from this session; name a branch, a tag or a commit of this one.'
    : null
}

/** Some servers take `;` for `&`. */
function namesCommitElsewhere(query: string): boolean {
  const parameters = [...new URLSearchParams(query.slice(1).replaceAll(';', '&'))]
  return parameters.some(([name, value]) => commitParameter.test(name) && value.includes(':'))
}

function split(url: string): { path: string; query: string } {
  const at = url.indexOf('?')
  return at < 0 ? { path: url, query: '' } : { path: url.slice(0, at), query: url.slice(at) }
}

/** No empty segment and none of dots alone; of escapes only a space and what is not ASCII. */
function isPlain(path: string): boolean {
  return (
    path.length <= urlCharsMax &&
    path.startsWith('/') &&
    path
      .slice(1)
      .split('/')
      .every((part) => segment.test(part) && !/^\.+$/.test(part))
  )
}

const segment = /^(?:[\w.~@+,:=!-]|%20|%[89A-Fa-f][0-9A-Fa-f])+$/

/** A method in the query would be another method. */
function isPlainQuery(query: string): boolean {
  return query.length <= urlCharsMax && /^[\x21-\x7e]*$/.test(query) && !/_method/i.test(query)
}

function refused(why: string): { readonly kind: 'refused'; readonly why: string } {
  return { kind: 'refused', why }
}
