import {
  type AgentContent,
  type EnvironmentContent,
  parseRepoUrl,
  type TaskOrder,
} from '@longhaul/client/contract'
import type { Config, HostPort } from '../config.ts'
import { type Credential, fixedCredential } from '../gateway/credential.ts'
import { createGitHub, type GitHub } from '../gateway/github.ts'
import type { Access } from '../gateway/github-app.ts'
import { createGitHubTalk, type GitHubTalk } from '../gateway/github-talk.ts'
import type { GatewayPolicy, GitHubPolicy, GitPolicy } from '../gateway/policy.ts'
import type { TaskRow } from '../store/tables.ts'
import { branchOf, keptBranchOf } from '../tasks/naming.ts'
import { presets } from '../tasks/presets.ts'
import type { McpServer } from '../tools-file/custom-tool.ts'
import type { RunnerDeps } from './deps.ts'
import { networkIn } from './environment.ts'
import type { Hold } from './hold.ts'
import { secretsFor } from './secrets.ts'

/** The ways out of the sandbox of one task, and of its agent with its MCP servers; and nothing else. */
export function policyOf(
  deps: RunnerDeps,
  { id, order }: Pick<TaskRow, 'id' | 'order'>,
  agent: {
    readonly profile: AgentContent
    readonly servers: readonly McpServer[]
    readonly environment: EnvironmentContent
  } | null,
): GatewayPolicy {
  const { config, egress } = deps
  const branch = branchOf(order, id)
  const { publishes } = presets[order.type]
  const reading = readingPolicyOf(deps, order, publishes ? 'work' : 'read')
  return {
    ...reading,
    model:
      config.model.headers === null || agent === null
        ? null
        : {
            baseUrl: config.model.baseUrl,
            headers: config.model.headers,
            ...modelsOf(config, agent.profile),
            fetches: agent.environment.config.allow_model_fetch,
          },
    git: {
      ...reading.git,
      readAlso: config.gitReadAllow,
      credentialAlso: (path) => gitCredentialOf(deps, { ...reading.git, path, access: 'read' }),
      pushRefs: publishes ? [`refs/heads/${branch}`, `refs/heads/${keptBranchOf(branch)}`] : [],
    },
    github: gitHubPolicyOf(deps, order),
    mcp: (agent?.servers ?? []).flatMap(({ name, at }) =>
      at.where === 'remote' ? [{ name, ...at }] : [],
    ),
    ...(agent === null
      ? {}
      : {
          ...networkIn(agent.environment, { config, egress }),
          secrets: secretsFor(deps, { order, environment: agent.environment }),
        }),
  }
}

/**
 * An agent is kept to the models that its profile names, and the small ones that Claude Code asks for
 * titles and summaries. One whose model the Agent SDK chooses is kept to none: its name is not known.
 */
function modelsOf({ model }: Config, agent: AgentContent): { models?: readonly string[] } {
  const own = agent.model.id ?? model.name
  if (own === null || model.allow.includes('*')) return {}
  const subagents = agent.subagents.flatMap((one) => (one.model === null ? [] : [one.model]))
  return { models: [...new Set([own, ...subagents, 'haiku', ...model.allow])] }
}

/** What gh inside takes for its repository, where it has one. */
export function gitHubVariables(
  deps: Authorized,
  order: TaskOrder,
): Readonly<Record<string, string>> {
  const at = gitHubPlaceOf(deps, order)
  return at === null ? {} : { GH_REPO: `${at.owner}/${at.repo}` }
}

/** What tells which credential a repository has. */
type Authorized = Pick<RunnerDeps, 'config' | 'credentials'>

/** A way out that leads to the order's repository, for reading, and nowhere else. */
export function readingPolicyOf(
  deps: Authorized,
  { repoUrl }: Pick<TaskOrder, 'repoUrl'>,
  access: Access = 'read',
): GatewayPolicy & { readonly git: GitPolicy } {
  const { config } = deps
  const { origin, path } = parseRepoUrl(repoUrl)
  const onGitHub = origin === config.github.url.origin
  return {
    model: null,
    git: {
      ...{ origin, path, pushRefs: [] },
      credential: gitCredentialOf(deps, { origin, path, access }),
    },
    github: null,
    mcp: [],
    secrets: [],
    network: 'none',
    connect: [],
    allowPrivate: [
      ...config.gatewayAllowPrivate,
      ...(onGitHub ? [hostPortOf(config.github.url)] : []),
    ],
  }
}

function gitCredentialOf(
  { credentials }: Authorized,
  at: { readonly origin: string; readonly path: string; readonly access: Access },
): Credential {
  return credentials.of(at)?.credential ?? fixedCredential(null)
}

/** What reaching GitHub takes. */
export type Reaching = Pick<RunnerDeps, 'config' | 'credentials' | 'clock' | 'log'>

/** What gives credentials out while the lease is held. */
export type Guarding = Pick<Hold, 'guard'>

/**
 * The client for the order's repository; null where it is a plain git remote. With a hold, each of its
 * requests is made only while the lease is held.
 */
export function gitHubOf(deps: Reaching, order: TaskOrder, hold?: Guarding): GitHub | null {
  const reach = reachOf(deps, order, hold)
  return reach === null ? null : createGitHub(reach)
}

/** What people and CI systems say there; null where it is a plain git remote. */
export function gitHubTalkOf(deps: Reaching, order: TaskOrder, hold: Guarding): GitHubTalk | null {
  const reach = reachOf(deps, order, hold)
  return reach === null ? null : createGitHubTalk(reach)
}

function reachOf(deps: Reaching, order: TaskOrder, hold: Guarding | undefined) {
  const at = gitHubPlaceOf(deps, order)
  if (at === null) return null
  const { config, clock, log } = deps
  const { owner, repo } = at
  const { scrubber } = deps.credentials
  const credential = hold === undefined ? at.credential : hold.guard(at.credential)
  return { owner, repo, credential, scrubber, apiUrl: config.github.apiUrl.href, log, clock }
}

function gitHubPolicyOf(deps: Authorized, order: TaskOrder): GitHubPolicy | null {
  const at = gitHubPlaceOf(deps, order)
  if (at === null) return null
  const { owner, repo, credential, isScoped } = at
  const { apiUrl } = deps.config.github
  const { scrubber } = deps.credentials
  return { apiUrl, owner, repo, credential, scrubber, graphql: isScoped }
}

/** Null where the repository is no GitHub's that the server has a credential for. */
function gitHubPlaceOf({ credentials }: Authorized, { repoUrl }: Pick<TaskOrder, 'repoUrl'>) {
  const { origin, path } = parseRepoUrl(repoUrl)
  const [owner, repo, ...more] = path.slice(1).split('/')
  const found = credentials.of({ origin, path, access: 'work' })
  if (found === null || owner === undefined || repo === undefined || more.length > 0) return null
  return { ...found, owner, repo }
}

function hostPortOf(url: URL): HostPort {
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
  }
}
