import type { Usage } from '@longhaul/client/contract'
import type { HostPort } from '../config.ts'
import type { BoundSecret } from '../credentials-file/credentials.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { Credential } from './credential.ts'

/**
 * What one session may reach. Fixed when its gateway opens; whoever holds the socket has exactly
 * these rights and no others, so nothing inside the sandbox needs a credential.
 */
export interface GatewayPolicy {
  /** The Messages API; its headers are the real credential. Null: every model request is 403. */
  readonly model: {
    readonly baseUrl: URL
    /** `x-api-key` or `authorization`, added on the way out. */
    readonly headers: Readonly<Record<string, string>>
    /**
     * The models that may be asked for, by id (with whatever date or provider around it) or by the
     * alias of a family (`haiku`). Absent: any.
     */
    readonly models?: readonly string[]
    /** Whether the provider may fetch for the agent: `web_fetch`, sources by URL. Absent: no. */
    readonly fetches?: boolean
  } | null
  /** Null: no git at all. */
  readonly git: GitPolicy | null
  /** Null: nothing of GitHub's API. */
  readonly github: GitHubPolicy | null
  /** MCP servers of the operator's, elsewhere. */
  readonly mcp: readonly McpUpstream[]
  /** Secrets that it may use, each on its host alone. */
  readonly secrets: readonly BoundSecret[]
  /**
   * What CONNECT and plain HTTP are for: nothing; the hosts of `connect`; or any host on the ports of
   * the web besides. Whatever it is, names that lead to private addresses stay closed.
   */
  readonly network: 'none' | 'limited' | 'unrestricted'
  /** Hosts that CONNECT and plain HTTP may reach, compared exactly, with their port. */
  readonly connect: readonly HostPort[]
  /** The name of the environment that says so, for whoever may change it. */
  readonly environment?: string
  /** Of the hosts above, those that may resolve to an address which `judgeAddress` refuses. */
  readonly allowPrivate: readonly HostPort[]
}

/** An MCP server that answers over streamable HTTP, at `/mcp/<name>` inside. */
export interface McpUpstream {
  readonly name: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Headers whose values are secret, added on the way out. */
  readonly secretHeaders: Readonly<Record<string, string>>
  /** What no answer may have. */
  readonly secrets: readonly string[]
}

/** The one repository of a session. */
export interface GitPolicy {
  /** `https://github.com`; http is accepted for a git host of one's own. */
  readonly origin: string
  /** `/acme/app`, with or without `.git`. */
  readonly path: string
  /** A token for the repository, sent as the password of `x-access-token`. */
  readonly credential: Credential
  /**
   * Other repositories of this host that may be fetched, never pushed to: `/acme/lib`, or `/acme/*`
   * for all of one owner. Absent: none.
   */
  readonly readAlso?: readonly string[]
  /** That of one of them, by its path. Absent: none. */
  readonly credentialAlso?: (path: string) => Credential
  /** The refs that may be pushed, whole names, compared exactly; none: it may only be read. */
  readonly pushRefs: readonly string[]
  /** Bytes of one push, and of what one fetch is answered. Absent: 512 MiB and 8 GiB. */
  readonly pushBytesMax?: number
  readonly fetchBytesMax?: number
}

/** The one repository whose GitHub API a session may ask. */
export interface GitHubPolicy {
  /** `https://api.github.com`, or `https://<host>/api/v3`. */
  readonly apiUrl: URL
  readonly owner: string
  readonly repo: string
  readonly credential: Credential
  /** Whether the credential is good for this repository alone: no path shows what GraphQL asks for. */
  readonly graphql: boolean
  /** Takes secrets out of what is said there. */
  readonly scrubber: Scrubber
}

/** What the owner of a gateway is told and asked. The `on…` must not throw. */
export interface GatewayHooks {
  /**
   * Awaited before a model request is forwarded, with the ids of the tool calls of the turn before
   * it. A rejection answers the client 503, which it retries.
   */
  beforeModelRequest(lastToolUses: readonly string[]): Promise<void>
  /**
   * Awaited before a model request is refused for want of money or quota, with the same ids: whoever is
   * told so by `onRefused` or `onQuota` may end the agent, which then must have stored what the calls
   * brought. Never rejects, and takes a moment at most.
   */
  beforeParking(lastToolUses: readonly string[]): Promise<void>
  /**
   * Awaited before a push to one of `pushRefs` is forwarded, once for each of them: a sentence
   * refuses it, and git prints that. A rejection answers 503. `signal` aborts when whoever pushes has
   * gone away.
   */
  mayPush(
    update: { readonly ref: string; readonly commit: string },
    signal: AbortSignal,
  ): Promise<string | null>
  /**
   * Awaited right before anything leaves that carries a credential and may change or cost something:
   * a model request, a push, a comment, a call of an MCP server or with a bound secret. False: the session is another
   * worker's by now. A rejection: that cannot be told. Either answers 503.
   */
  isHeld(): Promise<boolean>
  /** Whether an issue or a pull request may be commented on now: a sentence refuses it. */
  mayComment(number: number, signal: AbortSignal): Promise<string | null>
  /** A comment was made; where it is, if GitHub said so. */
  onCommented(comment: { readonly number: number; readonly url: string }): void
  /**
   * After each answer of the model, cut ones included; an answer without usage is estimated. Until it
   * resolves the request counts as under way, with the most that it can cost. Never rejects.
   */
  onUsage(use: { model: string; usage: Usage; costUsd: number }): Promise<void>
  /** An answer of the model was given up, because nothing came of it for too long. */
  onSilence(message: string): void
  /** The provider has no quota left until then, in epoch milliseconds; `isDate`: it named that moment. */
  onQuota(reset: number, isDate: boolean): void
  /** A model request was refused for good; called once a request, so possibly several times. */
  onRefused(refusal: { why: 'budget' | 'key_budget' | 'model_rejected'; message: string }): void
  /** Something tried a way out that the policy does not grant; equal ones come counted. */
  onDenied(denial: Denial & { readonly count: number }): void
  /** Everything that was decided, what was denied included; equal ones come counted. */
  onDecision(decision: Decision): void
  /** True: what is decided now could not be recorded; every request is answered 503. */
  isAuditBehind(): boolean
}

/** `gateway`: no route of its own was reached. */
export type Route =
  | 'connect'
  | 'http'
  | 'git'
  | 'anthropic'
  | 'github'
  | 'mcp'
  | 'secret'
  | 'gateway'

export interface Denial {
  readonly host: string
  readonly port: number
  readonly route: Route
  /** One sentence. */
  readonly why: string
}

/** One or more equal decisions, once what they let out is over. */
export interface Decision {
  readonly route: Route
  readonly host: string
  readonly port: number
  readonly verdict: 'allowed' | 'denied'
  /** One sentence; null if it was allowed. */
  readonly why: string | null
  /** It was denied because the policy grants no such way out. */
  readonly isWayOut: boolean
  /** What else tells it apart: a model, refs, a method and a path. */
  readonly details: Readonly<Record<string, string | number | readonly string[] | null>>
  /** What adds up: bytes (`in`: to the sandbox), tokens, cost in US dollars. */
  readonly sums: Readonly<Record<string, number>>
  readonly count: number
}

/** The owner's model budget in US dollars, with what earlier attempts of the session spent. */
export interface Budget {
  readonly limitUsd: number | null
  readonly spentUsd: number
}

/** True if the list names this host and port; hosts are compared in lower case. */
export function lists(list: readonly HostPort[], target: HostPort): boolean {
  const host = target.host.toLowerCase()
  return list.some((entry) => entry.host.toLowerCase() === host && entry.port === target.port)
}
