import type { FakeRepository, RepositoryState } from './fake-repository.ts'
import { type Apps, allows, type InstallationToken } from './github-apps.ts'

/** What a request to the fake GitHub wants. `push_refs` is git's look at the refs before a push. */
export type GitHubAction =
  | 'fetch'
  | 'push_refs'
  | 'push'
  | 'get_repository'
  | 'list_pulls'
  | 'create_pull'
  | 'get_pull'
  | 'request_reviewers'
  | 'add_labels'
  | 'create_comment'
  | 'other'

/** A request as it was seen, before anything was done about it. */
export interface GitHubRequest {
  readonly action: GitHubAction
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** The header's value, credentials and all. */
  readonly authorization: string | null
}

/**
 * What `beforeRequest` decides. Nothing: go on. A status: refuse with it. `lose_answer`: do what is
 * asked, then break the connection, as if one side had died right after it.
 */
export type Verdict = { readonly status: number; readonly message: string } | 'lose_answer'

/** Decides about a request; the request waits as long as the promise does. */
export type BeforeRequest = (
  request: GitHubRequest,
) => Promise<Verdict | undefined> | Verdict | undefined

/** One branch or tag that a push changed; forty zeros stand for none. */
export interface Push {
  readonly repository: string
  readonly ref: string
  readonly before: string
  readonly after: string
}

/** What the git and the REST side share. */
export interface GitHubState {
  readonly token: string
  readonly requests: GitHubRequest[]
  readonly pushes: Push[]
  /** By `owner/name`, in lower case, as GitHub compares them. */
  readonly repositories: Map<string, FakeRepository & RepositoryState>
  beforeRequest: BeforeRequest | null
  readonly apps: Apps
}

const requestsMax = 2_000

/** Records a request and asks what to do about it. */
export async function enter(
  state: GitHubState,
  request: GitHubRequest,
): Promise<Verdict | undefined> {
  state.requests.push(request)
  if (state.requests.length > requestsMax) state.requests.shift()
  return await state.beforeRequest?.(request)
}

/** Whoever asks: nobody, the token's owner, an installation of an app, or one with a wrong token. */
export type Caller = 'nobody' | 'owner' | 'impostor' | InstallationToken

/** Whose request it is. Tokens come as a bearer's, as `token …`, or as the password of Basic. */
export function callerOf(
  state: Pick<GitHubState, 'token' | 'apps'>,
  authorization: string | null | undefined,
): Caller {
  if (authorization === null || authorization === undefined) return 'nobody'
  const [scheme = '', value = ''] = authorization.split(' ')
  const given =
    scheme.toLowerCase() === 'basic'
      ? Buffer.from(value, 'base64')
          .toString('utf8')
          .replace(/^[^:]*:/, '')
      : value
  return given === state.token ? 'owner' : (state.apps.tokenOf(given) ?? 'impostor')
}

/** What the caller may do in a repository that it can see. */
export function mayDo(
  caller: Caller,
  o: {
    readonly repository: FakeRepository
    /** `contents`, `pull_requests`, …; any one of them is enough. */
    readonly permissions: readonly string[]
    readonly level: 'read' | 'write'
  },
): boolean {
  if (caller === 'owner') return true
  const isOpen = !o.repository.private && o.level === 'read'
  if (typeof caller === 'string') return isOpen
  if (!covers(caller, o.repository)) return isOpen
  return o.permissions.some((name) => allows(caller, name, o.level))
}

/** The repository of that name, if the caller may see it. */
export function visibleRepository(
  state: GitHubState,
  o: { owner: string; name: string; authorization: string | null | undefined },
) {
  const found = state.repositories.get(`${o.owner}/${o.name}`.toLowerCase())
  if (found === undefined || !found.private) return found
  const caller = callerOf(state, o.authorization)
  const sees = caller === 'owner' || (typeof caller !== 'string' && covers(caller, found))
  return sees ? found : undefined
}

function covers({ repositories }: InstallationToken, { owner, name }: FakeRepository): boolean {
  return repositories.has(`${owner}/${name}`.toLowerCase())
}
