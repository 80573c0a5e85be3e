import { type EnvironmentContent, parseRepoUrl, type TaskOrder } from '@longhaul/client/contract'
import type { Config } from '../config.ts'
import { type BoundSecret, matchesOf } from '../credentials-file/credentials.ts'

/**
 * The operator's secrets that a task may use: those that its environment names, of these those whose
 * rule has its repository, which is one of GITHUB_URL's; and none where there is no network.
 */
export function secretsFor(
  { config }: { readonly config: Pick<Config, 'github' | 'secrets'> },
  o: {
    readonly order: Pick<TaskOrder, 'repoUrl'>
    readonly environment: EnvironmentContent
  },
): BoundSecret[] {
  const { secrets: names, config: environment } = o.environment
  const { origin, path } = parseRepoUrl(o.order.repoUrl)
  if (environment.networking.type === 'none' || origin !== config.github.url.origin) return []
  const matches = matchesOf(path)
  return config.secrets
    .filter(({ name }) => names.includes(name))
    .filter(({ repositories }) => repositories.some((each) => matches.includes(each)))
}

/** Where they are inside: `STRIPE_URL`, by the path that it leads to. */
export function secretRoutes(secrets: readonly BoundSecret[]): Record<string, string> {
  return Object.fromEntries(secrets.map(({ name }) => [`${name}_URL`, `/secret/${name}/`]))
}
