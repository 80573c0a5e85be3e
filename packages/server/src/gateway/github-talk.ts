import { z } from 'zod'
import { type Call, createCall, GitHubRefused, refusalOf, withRetries } from './github-call.ts'

/** An issue or a pull request, in a list. */
interface Item {
  readonly number: number
  readonly title: string
  readonly state: string
  readonly author: string
  readonly labels: readonly string[]
  readonly url: string
}

interface Issue extends Item {
  readonly body: string
  /** The last ones, oldest first. */
  readonly comments: readonly Comment[]
  /** How many there are in all. */
  readonly commentCount: number
}

interface PullRequest extends Issue {
  readonly draft: boolean
  readonly head: { readonly ref: string; readonly sha: string }
  readonly base: string
  /** Null: GitHub has not worked it out yet. */
  readonly mergeable: boolean | null
  readonly reviews: readonly Review[]
  /** Of reviews, about lines; the newest, oldest first. */
  readonly lineComments: readonly (Comment & {
    readonly path: string
    readonly line: number | null
  })[]
}

interface Comment {
  readonly author: string
  readonly body: string
}

interface Review extends Comment {
  readonly state: string
}

/** What a CI system says about a commit. */
interface Check {
  readonly name: string
  /** `success`, `failure`, `in_progress`, … */
  readonly state: string
  readonly summary: string
  readonly url: string | null
}

/**
 * What people and CI systems say about one repository on GitHub, to read and to answer. Every method
 * throws GitHubRefused, or the signal's reason.
 */
export interface GitHubTalk {
  pullRequests(o: ListOptions, signal: AbortSignal): Promise<readonly Item[]>
  pullRequest(number: number, signal: AbortSignal): Promise<PullRequest>
  issues(o: ListOptions & IssueFilter, signal: AbortSignal): Promise<readonly Item[]>
  issue(number: number, signal: AbortSignal): Promise<Issue>
  /** Answers the comment's address. Never tried twice: a comment whose answer was lost stays one. */
  comment(o: { number: number; body: string }, signal: AbortSignal): Promise<string>
  /** Of a branch, a tag or a commit. `hidden`: kinds that the token may not read. */
  checks(ref: string, signal: AbortSignal): Promise<Checks>
}

interface Checks {
  readonly checks: readonly Check[]
  readonly hidden: readonly ('check runs' | 'commit statuses')[]
}

interface ListOptions {
  readonly state: 'open' | 'closed' | 'all'
  readonly limit: number
}

interface IssueFilter {
  readonly labels: readonly string[]
}

/** Comments and reviews that are shown of one issue or pull request. */
const commentsMax = 30
/** Issues that one look at the list reads: pull requests among them are left out. */
const issuesRead = 100

/** Reaches `/repos/{owner}/{repo}` and nothing else; owner and repo are GitHub names. */
export function createGitHubTalk(o: Parameters<typeof createCall>[0]): GitHubTalk {
  const call = createCall(o)
  const get: Get = (path, schema, fields, signal) =>
    withRetries({ ...o, signal }, async () =>
      schema.parse(await call(`GET /repos/{owner}/{repo}${path}`, fields, signal)),
    )
  return {
    async pullRequests({ state, limit }, signal) {
      const found = await get('/pulls', z.array(item), { state, per_page: limit }, signal)
      return found.map(itemOf)
    },
    pullRequest: (number, signal) => readPullRequest(get, number, signal),
    async issues({ state, labels, limit }, signal) {
      const fields = {
        state,
        per_page: issuesRead,
        ...(labels.length > 0 && { labels: `${labels}` }),
      }
      const found = await get('/issues', z.array(item), fields, signal)
      return found
        .filter((each) => each.pull_request == null)
        .slice(0, limit)
        .map(itemOf)
    },
    async issue(number, signal) {
      const found = await get(`/issues/${number}`, issueSchema, {}, signal)
      return { ...issueOf(found), comments: await lastComments(get, found, signal) }
    },
    comment: (fields, signal) => postComment(call, fields, signal),
    checks: (ref, signal) => readChecks(get, ref, signal),
  }
}

type Get = <T>(
  path: string,
  schema: z.ZodType<T>,
  fields: object,
  signal: AbortSignal,
) => Promise<T>

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
const user = z
  .object({ login: z.string() })
  .nullish()
  .transform((value) => value?.login ?? 'ghost')
const item = z.object({
  number: z.int().positive(),
  title: z.string(),
  state: z.string(),
  user,
  labels: z.array(z.object({ name: z.string() })).default([]),
  html_url: z.string(),
  pull_request: z.unknown().optional(),
})
const issueSchema = item.extend({ body: text, comments: z.int().default(0) })
const pullSchema = issueSchema.extend({
  draft: z.boolean().default(false),
  merged: z.boolean().default(false),
  mergeable: z.boolean().nullish(),
  head: z.object({ ref: z.string(), sha: z.string() }),
  base: z.object({ ref: z.string() }),
})
const comment = z.object({ user, body: text })
const lineComment = comment.extend({ path: z.string(), line: z.int().nullish() })
const review = comment.extend({ state: z.string() })

function itemOf(found: z.output<typeof item>): Item {
  const { number, title, state, user: author, labels, html_url: url } = found
  return { number, title, state, author, labels: labels.map(({ name }) => name), url }
}

function issueOf(found: z.output<typeof issueSchema>): Omit<Issue, 'comments'> {
  return { ...itemOf(found), body: found.body, commentCount: found.comments }
}

function commentOf({ user: author, body }: z.output<typeof comment>): Comment {
  return { author, body }
}

async function readPullRequest(
  get: Get,
  number: number,
  signal: AbortSignal,
): Promise<PullRequest> {
  const found = await get(`/pulls/${number}`, pullSchema, {}, signal)
  const newest = { per_page: commentsMax, sort: 'created', direction: 'desc' }
  const page = { per_page: commentsMax }
  const [comments, reviews, lines] = await Promise.all([
    lastComments(get, found, signal),
    get(`/pulls/${number}/reviews`, z.array(review), page, signal),
    get(`/pulls/${number}/comments`, z.array(lineComment), newest, signal),
  ])
  return {
    ...issueOf(found),
    state: found.merged ? 'merged' : found.state,
    draft: found.draft,
    head: found.head,
    base: found.base.ref,
    mergeable: found.mergeable ?? null,
    comments,
    reviews: reviews.map((each) => ({ ...commentOf(each), state: each.state })),
    lineComments: lines
      .toReversed()
      .map((each) => ({ ...commentOf(each), path: each.path, line: each.line ?? null })),
  }
}

/** GitHub gives them oldest first, so the last page is asked for, and the one before if it is short. */
async function lastComments(
  get: Get,
  { number, comments }: { readonly number: number; readonly comments: number },
  signal: AbortSignal,
): Promise<Comment[]> {
  if (comments === 0) return []
  const last = Math.ceil(comments / commentsMax)
  const read = (page: number) =>
    get(`/issues/${number}/comments`, z.array(comment), { per_page: commentsMax, page }, signal)
  const found = await read(last)
  const before = last > 1 && found.length < commentsMax ? await read(last - 1) : []
  return [...before, ...found].slice(-commentsMax).map(commentOf)
}

async function postComment(
  call: Call,
  { number, body }: { readonly number: number; readonly body: string },
  signal: AbortSignal,
): Promise<string> {
  try {
    const made = await call(
      `POST /repos/{owner}/{repo}/issues/${number}/comments`,
      { body },
      signal,
    )
    return z.object({ html_url: z.string() }).parse(made).html_url
  } catch (error) {
    signal.throwIfAborted()
    throw new GitHubRefused({ ...refusalOf(error), cause: error })
  }
}

const runs = z.object({
  check_runs: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      conclusion: z.string().nullish(),
      output: z.object({ title: text, summary: text }).nullish(),
      html_url: z.string().nullish(),
    }),
  ),
})
const statuses = z.object({
  statuses: z.array(
    z.object({
      context: z.string(),
      state: z.string(),
      description: text,
      target_url: z.string().nullish(),
    }),
  ),
})

async function readChecks(get: Get, ref: string, signal: AbortSignal): Promise<Checks> {
  const path = `/commits/${encodeURIComponent(ref)}`
  const page = { per_page: 100 }
  const [checkRuns, commitStatuses] = await Promise.all([
    unlessForbidden(get(`${path}/check-runs`, runs, page, signal)),
    unlessForbidden(get(`${path}/status`, statuses, page, signal)),
  ])
  return {
    checks: [
      ...(checkRuns?.check_runs ?? []).map((run) => ({
        name: run.name,
        state: run.conclusion ?? run.status,
        summary: [run.output?.title, run.output?.summary].filter(Boolean).join('\n'),
        url: run.html_url ?? null,
      })),
      ...(commitStatuses?.statuses ?? []).map((status) => ({
        name: status.context,
        state: status.state,
        summary: status.description,
        url: status.target_url ?? null,
      })),
    ],
    hidden: [
      ...(checkRuns === null ? (['check runs'] as const) : []),
      ...(commitStatuses === null ? (['commit statuses'] as const) : []),
    ],
  }
}

/** Tokens are often made without the right to read one of the two. */
async function unlessForbidden<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof GitHubRefused && error.status === 403) return null
    throw error
  }
}
