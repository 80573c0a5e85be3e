import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { Credential } from './credential.ts'
import { createCall, refusalOf, withRetries } from './github-call.ts'

interface PullRequest {
  readonly url: string
  readonly number: number
  readonly draft: boolean
  readonly state: 'open' | 'closed' | 'merged'
  /** The commit of its branch; the last one before the end, once it has ended. */
  readonly commit: string
}

/** The server's one GitHub client, for one repository. */
export interface GitHub {
  repository(signal: AbortSignal): Promise<{ defaultBranch: string }>
  /** By head branch, open ones first, closed and merged ones too; null if there never was one. */
  findPullRequest(o: { head: string; signal: AbortSignal }): Promise<PullRequest | null>
  /**
   * Looks before it creates, and again whenever creating has an unclear end. Where GitHub takes no
   * drafts (it depends on the plan), what was to be one is opened as it can be. One that was closed or
   * merged counts as there, but for the one that `replaces` names.
   */
  openPullRequest(o: NewPullRequest): Promise<PullRequest>
  /** Asks for reviews; nobody is asked when one of them cannot be (no collaborator, the author). */
  requestReviews(
    o: { readonly number: number; readonly signal: AbortSignal } & (
      | { readonly reviewers: readonly string[] }
      | { readonly teamReviewers: readonly string[] }
    ),
  ): Promise<void>
  /** Adds labels; those that do not exist are made. */
  addLabels(o: {
    readonly number: number
    readonly labels: readonly string[]
    readonly signal: AbortSignal
  }): Promise<void>
}

interface NewPullRequest {
  readonly head: string
  readonly base: string
  readonly title: string
  readonly body: string
  readonly draft: boolean
  /** The URL of one of before, or null. */
  readonly replaces: string | null
  readonly signal: AbortSignal
}

/** Whether an owner or a repository may have that name there. */
export function isGitHubName(name: string): boolean {
  return /^[\w.-]{1,100}$/.test(name) && !/^\.+$/.test(name)
}

/**
 * Reaches `/repos/{owner}/{repo}` and nothing else. Every method throws GitHubRefused, or the
 * signal's reason; server errors and rate limits are tried again up to five times. Throws at once
 * if owner or repo is not a GitHub name.
 */
export function createGitHub(o: {
  apiUrl: URL | string
  credential: Credential
  scrubber: Scrubber
  owner: string
  repo: string
  log: Log
  clock: Clock
}): GitHub {
  for (const name of [o.owner, o.repo])
    if (!isGitHubName(name)) throw new Error(`${JSON.stringify(name)} is not a GitHub name.`)
  const call = createCall(o)
  const find = async (head: string, signal: AbortSignal): Promise<PullRequest | null> => {
    const query = { head: `${o.owner}:${head}`, state: 'all', per_page: 100 }
    const found = pullRequests.parse(await call('GET /repos/{owner}/{repo}/pulls', query, signal))
    // A head that GitHub does not understand is ignored, and every pull request comes back.
    const own = found.filter((each) => each.head.ref === head)
    const chosen = own.find((each) => each.state === 'open') ?? own[0]
    return chosen === undefined ? null : summaryOf(chosen)
  }
  const create = async (
    fields: Omit<NewPullRequest, 'signal' | 'replaces'>,
    signal: AbortSignal,
  ): Promise<PullRequest> =>
    summaryOf(pullRequest.parse(await call('POST /repos/{owner}/{repo}/pulls', fields, signal)))
  const open = async (o: NewPullRequest): Promise<PullRequest> => {
    const { signal, replaces, ...fields } = o
    const present = async (): Promise<PullRequest | null> => {
      const found = await find(fields.head, signal)
      return found?.state !== 'open' && found?.url === replaces ? null : found
    }
    const found = await present()
    if (found !== null) return found
    try {
      return await create(fields, signal)
    } catch (error) {
      const { status, message } = refusalOf(error)
      const raced = status === 422 ? await present() : null
      if (raced !== null) return raced
      if (status !== 422 || !fields.draft || !/draft/i.test(message)) throw error
      return create({ ...fields, draft: false }, signal)
    }
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
    openPullRequest: (fields) => retry(fields.signal, () => open(fields)),
    requestReviews: ({ number, signal, ...who }) =>
      retry(signal, async () => {
        const asked = 'reviewers' in who ? who : { team_reviewers: who.teamReviewers }
        const route = `POST /repos/{owner}/{repo}/pulls/${number}/requested_reviewers`
        await call(route, asked, signal)
      }),
    addLabels: ({ number, labels, signal }) =>
      retry(signal, async () => {
        await call(`POST /repos/{owner}/{repo}/issues/${number}/labels`, { labels }, signal)
      }),
  }
}

const webUrl = z.url({ protocol: /^https?$/ }).max(2048)
const repository = z.object({ default_branch: z.string().min(1).max(255) })
const pullRequest = z.object({
  html_url: webUrl,
  number: z.int().positive(),
  state: z.string(),
  merged_at: z.string().nullish(),
  draft: z.boolean().default(false),
  head: z.object({ ref: z.string(), sha: z.string() }),
})
const pullRequests = z.array(pullRequest)

function summaryOf(pull: z.output<typeof pullRequest>): PullRequest {
  const { html_url: url, number, draft, head } = pull
  const ended = typeof pull.merged_at === 'string' ? 'merged' : 'closed'
  return { url, number, draft, state: pull.state === 'open' ? 'open' : ended, commit: head.sha }
}
