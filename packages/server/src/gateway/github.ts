import { request as octokit } from '@octokit/request'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { withLimit } from './limits.ts'

/**
 * GitHub said no for good, or did not answer after every retry (`status` 0). The message is a
 * sentence with GitHub's own words.
 */
export class GitHubRefused extends Error {
  readonly status: number
  constructor(o: { status: number; message: string; cause?: unknown }) {
    super(o.message, { cause: o.cause })
    this.status = o.status
  }
}

interface PullRequest {
  readonly url: string
  readonly number: number
}

/** The server's one GitHub client, for one repository. */
export interface GitHub {
  repository(signal: AbortSignal): Promise<{ defaultBranch: string }>
  /** By head branch, open ones first, closed and merged ones too; null if there never was one. */
  findPullRequest(o: { head: string; signal: AbortSignal }): Promise<PullRequest | null>
  /** Looks before it creates, and again whenever creating has an unclear end. */
  openPullRequest(o: NewPullRequest): Promise<PullRequest>
}

interface NewPullRequest {
  readonly head: string
  readonly base: string
  readonly title: string
  readonly body: string
  readonly draft: boolean
  readonly signal: AbortSignal
}

const triesMax = 5
const requestMs = 30_000
const backoffMs = 1_000
/** All waits of one call together; a limit that asks for more is reported instead. */
const waitMsMax = 60_000
const answerBytesMax = 4 * 1024 * 1024

/**
 * Reaches `/repos/{owner}/{repo}` and nothing else. Every method throws GitHubRefused, or the
 * signal's reason; server errors and rate limits are tried again up to five times. Throws at once
 * if owner or repo is not a GitHub name.
 */
export function createGitHub(o: {
  apiUrl: URL | string
  token: string | null
  owner: string
  repo: string
  log: Log
  clock: Clock
}): GitHub {
  for (const name of [o.owner, o.repo])
    if (!/^[\w.-]{1,100}$/.test(name) || /^\.+$/.test(name))
      throw new Error(`${JSON.stringify(name)} is not a GitHub name.`)
  const call = createCall(o)
  const find = async (head: string, signal: AbortSignal): Promise<PullRequest | null> => {
    const query = { head: `${o.owner}:${head}`, state: 'all', per_page: 100 }
    const found = pullRequests.parse(await call('GET /repos/{owner}/{repo}/pulls', query, signal))
    // A head that GitHub does not understand is ignored, and every pull request comes back.
    const own = found.filter((each) => each.head.ref === head)
    const chosen = own.find((each) => each.state === 'open') ?? own[0]
    return chosen === undefined ? null : { url: chosen.html_url, number: chosen.number }
  }
  const retry = <T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> =>
    withRetries({ clock: o.clock, log: o.log, signal }, attempt)
  return {
    repository: (signal) =>
      retry(signal, async () => {
        const found = repository.parse(await call('GET /repos/{owner}/{repo}', {}, signal))
        return { defaultBranch: found.default_branch }
      }),
    findPullRequest: ({ head, signal }) => retry(signal, () => find(head, signal)),
    openPullRequest: ({ signal, ...fields }) =>
      retry(signal, async () => {
        const found = await find(fields.head, signal)
        if (found !== null) return found
        try {
          const made = await call('POST /repos/{owner}/{repo}/pulls', fields, signal)
          const { html_url: url, number } = pullRequest.parse(made)
          return { url, number }
        } catch (error) {
          const raced = refusalOf(error).status === 422 ? await find(fields.head, signal) : null
          if (raced === null) throw error
          return raced
        }
      }),
  }
}

const webUrl = z.url({ protocol: /^https?$/ }).max(2048)
const repository = z.object({ default_branch: z.string().min(1).max(255) })
const pullRequest = z.object({
  html_url: webUrl,
  number: z.int().positive(),
  state: z.string(),
  head: z.object({ ref: z.string() }),
})
const pullRequests = z.array(pullRequest)

type Call = (route: string, fields: object, signal: AbortSignal) => Promise<unknown>

function createCall(o: {
  apiUrl: URL | string
  token: string | null
  owner: string
  repo: string
  log: Log
  clock: Clock
}): Call {
  const client = octokit.defaults({
    baseUrl: String(o.apiUrl).replace(/\/+$/, ''),
    owner: o.owner,
    repo: o.repo,
    headers: {
      accept: 'application/vnd.github+json',
      'user-agent': 'longhaul',
      'x-github-api-version': '2022-11-28',
      ...(o.token === null ? {} : { authorization: `Bearer ${o.token}` }),
    },
  })
  return async (route, fields, signal) => {
    const limit = { clock: o.clock, ms: requestMs, signal, what: 'a request to GitHub' }
    const answer = await withLimit(limit, (limited) =>
      client(route, {
        ...fields,
        request: { signal: limited, redirect: 'manual', fetch: boundedFetch, log: o.log },
      }),
    )
    if (answer.status >= 300)
      throw new GitHubRefused({
        status: answer.status,
        message: `GitHub answered ${answer.status}: ${o.owner}/${o.repo} moved, and redirects are not followed.`,
      })
    return answer.data
  }
}

/** Reads an answer up to a bound before octokit sees it. */
async function boundedFetch(url: string, init: RequestInit): Promise<Response> {
  const answer = await fetch(url, init)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length
    if (bytes > answerBytesMax) throw new Error('The answer of GitHub is too large.')
    chunks.push(chunk)
  }
  const body = bytes === 0 ? null : Buffer.concat(chunks)
  return new Response(body, { status: answer.status, headers: answer.headers })
}

async function withRetries<T>(
  o: { clock: Clock; log: Log; signal: AbortSignal },
  attempt: () => Promise<T>,
): Promise<T> {
  let leftMs = waitMsMax
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt()
    } catch (error) {
      o.signal.throwIfAborted()
      const { status, message, againMs } = refusalOf(error)
      const waitMs = againMs === null ? null : Math.max(againMs, backoffMs * 2 ** (tries - 1))
      if (waitMs === null || waitMs > leftMs || tries >= triesMax)
        throw new GitHubRefused({ status, message, cause: error })
      leftMs -= waitMs
      o.log.info({ status, waitMs, tries }, 'GitHub is asked again')
      await o.clock.sleep(waitMs, o.signal)
    }
  }
}

/** What an error means: `againMs` is the least wait before it may be tried again; null: never. */
interface Refusal {
  readonly status: number
  readonly message: string
  readonly againMs: number | null
}

const headers = z.record(z.string(), z.union([z.string(), z.number()]).optional())
type Headers = z.infer<typeof headers>
const requestError = z.object({
  status: z.int(),
  response: z.object({ headers }).optional(),
})

function refusalOf(error: unknown): Refusal {
  if (error instanceof GitHubRefused)
    return { status: error.status, message: error.message, againMs: null }
  if (error instanceof z.ZodError)
    return { status: 502, message: 'GitHub answered something unexpected.', againMs: null }
  const known = requestError.safeParse(error).data
  const words = (error instanceof Error ? error.message : 'unknown').slice(0, 500)
  // Octokit reports what never reached GitHub as status 500 without a response.
  if (known?.response === undefined)
    return { status: 0, message: `GitHub cannot be reached: ${words}.`, againMs: 0 }
  const message = `GitHub answered ${known.status}: ${words}.`
  return { status: known.status, message, againMs: againMsOf(known.status, words, known.response) }
}

/** Server errors and rate limits pass; GitHub reports limits as 429, and as 403 with a hint. */
function againMsOf(status: number, words: string, response: { headers: Headers }): number | null {
  const after = response.headers['retry-after']
  const limited =
    after !== undefined ||
    response.headers['x-ratelimit-remaining'] === '0' ||
    /rate limit/i.test(words)
  if (status < 500 && status !== 429 && !(status === 403 && limited)) return null
  const afterMs = Number(after ?? 0) * 1000
  return Number.isFinite(afterMs) ? afterMs : 0
}
