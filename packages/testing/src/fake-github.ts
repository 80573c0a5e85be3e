import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import type { FakeRepository, RepositoryOptions } from './fake-repository.ts'
import { createRepository } from './fake-repository.ts'
import { GitHttp } from './git-http.ts'
import { type AppOptions, Apps, type FakeApp, type InstallationToken } from './github-apps.ts'
import type { BeforeRequest, GitHubRequest, GitHubState, Push } from './github-gate.ts'
import { githubGraphql } from './github-graphql.ts'
import { githubRest } from './github-rest.ts'
import { listen, stop } from './loopback.ts'

/** Settings of a fake GitHub. */
export interface FakeGitHubOptions {
  /** The token that pushes, private repositories and new pull requests need. */
  readonly token?: string
  /** 0: any free port of 127.0.0.1. */
  readonly port?: number
}

/**
 * A GitHub on loopback, as small as opening pull requests allows: real git over HTTP at `url`, the
 * REST API at `apiUrl`. Repositories live in a temporary directory until it is closed.
 */
export interface FakeGitHub extends AsyncDisposable {
  /** Repositories are at `<url>/<owner>/<name>`, with or without `.git`. */
  readonly url: string
  readonly apiUrl: string
  readonly token: string
  /** The last 2 000 requests, oldest first, as they came in. */
  readonly requests: readonly GitHubRequest[]
  /** Every ref that a push changed, in order. */
  readonly pushes: readonly Push[]
  createRepository(options: RepositoryOptions): Promise<FakeRepository>
  /** Makes a GitHub App and installs it. */
  createApp(options: AppOptions): FakeApp
  /** Tokens of installations, in the order in which they were made. */
  installationTokens(): readonly InstallationToken[]
  /** Moves its clock on: tokens end an hour after they were made. */
  advance(ms: number): void
  /** Asked before every request from now on, in place of the last one given; `null`: no more. */
  beforeRequest(decide: BeforeRequest | null): void
  close(): Promise<void>
}

/** Starts a fake GitHub. */
export async function startFakeGitHub(options: FakeGitHubOptions = {}): Promise<FakeGitHub> {
  const token = options.token ?? 'fake-github-token'
  const root = await mkdtemp(join(tmpdir(), 'longhaul-github-'))
  let aheadMs = 0
  const now = () => Date.now() + aheadMs
  const apps = new Apps(now)
  const state: GitHubState = {
    apps,
    token,
    requests: [],
    pushes: [],
    repositories: new Map(),
    beforeRequest: null,
  }
  const rest = getRequestListener(githubRest(state, apiPath).fetch)
  const graphql = getRequestListener(githubGraphql(state, graphqlPath).fetch)
  const gitHttp = new GitHttp(state, root)
  const listenerOf = (path: string) => {
    if (path === graphqlPath) return graphql
    return path.startsWith(`${apiPath}/`) ? rest : null
  }
  const server = createServer((request, response) => {
    response.setHeader('date', new Date(now()).toUTCString())
    const listener = listenerOf(request.url ?? '')
    const answered = listener?.(request, response) ?? gitHttp.answer(request, response)
    Promise.resolve(answered).catch((error) => response.destroy(error))
  })
  const url = await listen(server, options.port)
  const close = async (): Promise<void> => {
    await stop(server)
    await gitHttp.close()
    await rm(root, { recursive: true, force: true, maxRetries: 3 })
  }
  return {
    url,
    apiUrl: `${url}${apiPath}`,
    token,
    requests: state.requests,
    pushes: state.pushes,
    async createRepository(order) {
      const repository = await createRepository(order, { root, url })
      state.repositories.set(`${order.owner}/${order.name}`.toLowerCase(), repository)
      return repository
    },
    createApp: (options) => apps.create(options),
    installationTokens: () => [...apps.tokens.values()],
    advance(ms) {
      aheadMs += ms
    },
    beforeRequest(decide) {
      state.beforeRequest = decide
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Where a GitHub that is not github.com has its REST API. */
const apiPath = '/api/v3'
/** Where such a one has its GraphQL. */
const graphqlPath = '/api/graphql'
