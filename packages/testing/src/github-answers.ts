import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { PullRequest } from './fake-repository.ts'
import { askGit } from './git.ts'
import type { visibleRepository } from './github-gate.ts'

/** What the REST routes share: the repository of the path, and the forms of their answers. */
export type Repository = NonNullable<ReturnType<typeof visibleRepository>>
export type Environment = { Bindings: HttpBindings; Variables: { repository: Repository } }

export function repositoryOf(repository: Repository): object {
  return {
    name: repository.name,
    full_name: `${repository.owner}/${repository.name}`,
    owner: { login: repository.owner },
    private: repository.private,
    default_branch: 'main',
    html_url: repository.url,
    clone_url: `${repository.url}.git`,
    permissions: { pull: true, push: true },
  }
}

export async function pullOf(repository: Repository, pull: PullRequest): Promise<object> {
  const branch = async (ref: string, last: string | null): Promise<object> => {
    const sha = last ?? (await shaOf(repository, ref))
    return { label: `${repository.owner}:${ref}`, ref, sha, repo: repositoryOf(repository) }
  }
  return {
    number: pull.number,
    state: pull.state === 'open' ? 'open' : 'closed',
    merged_at: pull.state === 'merged' ? new Date().toISOString() : null,
    draft: pull.draft,
    title: pull.title,
    body: pull.body,
    html_url: pull.url,
    user: { login: repository.owner },
    requested_reviewers: pull.reviewers.map((login) => ({ login })),
    requested_teams: pull.teamReviewers.map((slug) => ({ slug })),
    labels: pull.labels.map((name) => ({ name })),
    head: await branch(pull.head, pull.lastCommit),
    base: await branch(pull.base, null),
  }
}

/** The commit of a branch, or null. */
export async function shaOf(repository: Repository, branch: string): Promise<string | null> {
  const ref = `refs/heads/${branch}^{commit}`
  const sha = await askGit(repository.directory, 'rev-parse', '--verify', '--quiet', ref)
  return sha?.trim() ?? null
}

export function problem(
  c: Context<Environment>,
  status: number,
  message: string,
  errors?: readonly object[],
): Response {
  const body = { message, errors, documentation_url: 'https://docs.github.com/rest' }
  // Hono wants a status with a body; every one that GitHub's errors have is.
  return c.json({ ...body, status: String(status) }, status as ContentfulStatusCode)
}
