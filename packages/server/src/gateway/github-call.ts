import { request as octokit } from '@octokit/request'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import { type Credential, withCredential } from './credential.ts'
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

  /** Not reached, asked too often, or broken: another attempt may find it mended. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

const triesMax = 5
const requestMs = 30_000
const backoffMs = 1_000
/** All waits of one call together; a limit that asks for more is reported instead. */
const waitMsMax = 60_000
const answerBytesMax = 4 * 1024 * 1024
const redirect = 'manual' as const

/** One request below `/repos/{owner}/{repo}`, and its parsed answer. */
export type Call = (route: string, fields: object, signal: AbortSignal) => Promise<unknown>

/**
 * Requests with the credential, and without any secret in what they say; each is bounded in time and
 * size, and follows no redirect.
 */
export function createCall(o: {
  apiUrl: URL | string
  credential: Credential
  scrubber: Scrubber
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
    },
  })
  return async (route, fields, signal) => {
    const limit = { clock: o.clock, ms: requestMs, signal, what: 'a request to GitHub' }
    const answer = await withLimit(limit, (limited) => {
      const request = { signal: limited, redirect, fetch: boundedFetch, log: o.log }
      const send = (secret: string | null) =>
        client(route, {
          ...o.scrubber.value(fields),
          ...(secret !== null && { headers: { authorization: `Bearer ${secret}` } }),
          request,
        })
      return sendWithCredential({ credential: o.credential, signal: limited }, send)
    })
    if (answer.status >= 300)
      throw new GitHubRefused({
        status: answer.status,
        message: `GitHub answered ${answer.status}: ${o.owner}/${o.repo} moved, and redirects are not followed.`,
      })
    return answer.data
  }
}

/** Octokit throws the answers that refuse. */
async function sendWithCredential<T>(
  o: { readonly credential: Credential; readonly signal: AbortSignal },
  send: (secret: string | null) => Promise<T>,
): Promise<T> {
  const isRefused = ([ended]: PromiseSettledResult<T>[]): boolean =>
    ended?.status === 'rejected' && requestError.safeParse(ended.reason).data?.status === 401
  const [ended] = await withCredential({ ...o, isRefused }, (secret) =>
    Promise.allSettled([send(secret)]),
  )
  if (ended?.status === 'fulfilled') return ended.value
  throw ended?.reason
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

/**
 * Tries again what GitHub may answer later: server errors and rate limits, up to five times. Throws
 * `GitHubRefused`, or the signal's reason.
 */
export async function withRetries<T>(
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

export function refusalOf(error: unknown): Refusal {
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
