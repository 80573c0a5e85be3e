import { z } from 'zod'
import {
  check,
  concurrencyLimit,
  environmentId,
  pageOf,
  repositoryId,
  timestamp,
} from './common.ts'
import {
  type CommitIdentity,
  type GivenOrder,
  type OrderPolicy,
  orderFields,
  raiseIsAbove,
} from './orders.ts'
import { type PullRequestOptions, pullRequestPatch, pullRequestShown } from './pull-requests.ts'
import { parseRepoUrl } from './repo-url.ts'

/** What fills an order's open fields; and what no order says for itself. */
export interface RepositorySettings
  extends Pick<
    GivenOrder,
    | 'baseBranch'
    | 'setup'
    | 'checks'
    | 'workdir'
    | 'timeLimitMinutes'
    | 'maxBudgetUsd'
    | 'budgetDeadlineMinutes'
    | 'budgetRaiseToUsd'
    | 'pullRequest'
  > {
  readonly commit?: CommitIdentity
  /** Id of the environment of its tasks. */
  readonly environment?: string
  readonly allowWorkflowChanges?: boolean
  /** Tasks on it that run at once. */
  readonly concurrency?: number
}

type PatchOf<T> = { readonly [Field in keyof T]: T[Field] | null | undefined }

/** A change of settings: an absent field stays, null clears it; so in `pullRequest`, too. */
export interface SettingsPatch extends PatchOf<Omit<RepositorySettings, 'pullRequest'>> {
  readonly pullRequest?: PatchOf<PullRequestOptions> | null | undefined
}

/** A repository that is made, with the first change of its empty settings. */
export interface NewRepository {
  /** Normal form of `parseRepoUrl`. */
  readonly url: string
  readonly settings: SettingsPatch
}

const nameCharsMax = 100
const emailCharsMax = 254

/** Who commits, in the form that git keeps. */
const commitIdentity = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(nameCharsMax)
    .superRefine(check(nameProblem))
    .describe('Author and committer of what tasks commit.'),
  email: z.string().max(emailCharsMax).superRefine(check(emailProblem)),
})

function settingsFields(policy: OrderPolicy) {
  const fields = orderFields(policy)
  return {
    setup: fields.setup.nullish(),
    checks: fields.checks.nullish(),
    base_branch: fields.baseBranch.nullish(),
    workdir: fields.workdir.nullish(),
    time_limit_minutes: fields.timeLimitMinutes.nullish(),
    max_budget_usd: fields.maxBudgetUsd.nullish(),
    budget_deadline_minutes: fields.budgetDeadlineMinutes.nullish(),
    budget_raise_to_usd: fields.budgetRaiseToUsd.nullish(),
    pull_request: pullRequestPatch.nullish(),
    commit: commitIdentity.nullish(),
    environment: environmentId.nullish().describe('Where its tasks run, in its newest version.'),
    allow_workflow_changes: z
      .boolean()
      .nullish()
      .describe('Lets tasks push changes below .github/workflows, which the git host runs.'),
    concurrency: concurrencyLimit
      .optional()
      .describe('Tasks on it that run at once, on all nodes together; null: the server’s setting.'),
  }
}

type GivenSettings = z.output<z.ZodObject<ReturnType<typeof settingsFields>>>

function toPatch(given: GivenSettings): SettingsPatch {
  const { base_branch, time_limit_minutes, max_budget_usd, pull_request } = given
  return {
    setup: given.setup,
    checks: given.checks,
    workdir: given.workdir,
    commit: given.commit,
    environment: given.environment,
    allowWorkflowChanges: given.allow_workflow_changes,
    concurrency: given.concurrency,
    baseBranch: base_branch,
    timeLimitMinutes: time_limit_minutes,
    maxBudgetUsd: max_budget_usd,
    budgetDeadlineMinutes: given.budget_deadline_minutes,
    budgetRaiseToUsd: given.budget_raise_to_usd,
    pullRequest: pull_request && {
      draft: pull_request.draft,
      reviewers: pull_request.reviewers,
      teamReviewers: pull_request.team_reviewers,
      labels: pull_request.labels,
    },
  }
}

/** `POST /v1/repositories` → the repository, on a server with this policy. */
export function repositoryCreate(policy: OrderPolicy) {
  return z
    .strictObject({ url: orderFields(policy).repoUrl, ...settingsFields(policy) })
    .check(raiseIsAbove('max_budget_usd', 'budget_raise_to_usd'))
    .meta({ id: 'RepositoryCreate' })
    .transform(
      ({ url, ...given }): NewRepository => ({
        url: parseRepoUrl(url).url,
        settings: toPatch(given),
      }),
    )
}

/** `POST /v1/repositories/{id}` → the change. */
export function repositoryUpdate(policy: OrderPolicy) {
  return z
    .strictObject(settingsFields(policy))
    .check(raiseIsAbove('max_budget_usd', 'budget_raise_to_usd'))
    .meta({ id: 'RepositoryUpdate' })
    .transform(toPatch)
}

/** A repository's settings as `/v1` shows them; null: not set. */
export const repository = z
  .object({
    id: repositoryId,
    url: z.string(),
    setup: z.array(z.string()).nullable(),
    checks: z.array(z.string()).nullable(),
    base_branch: z.string().nullable(),
    workdir: z.string().nullable(),
    time_limit_minutes: z.int().nullable(),
    max_budget_usd: z.number().nullable(),
    budget_deadline_minutes: z.int().nullable(),
    budget_raise_to_usd: z.number().nullable(),
    pull_request: pullRequestShown,
    commit: commitIdentity.nullable(),
    environment: environmentId.nullable(),
    allow_workflow_changes: z.boolean(),
    concurrency: z.int().nullable(),
    created_by: z.string().nullable(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Repository' })
export type Repository = z.infer<typeof repository>

/** A page of repositories, newest first. */
export const repositoryPage = pageOf('RepositoryPage', repository)

/** What is left of a repository that was deleted. */
export const repositoryDeleted = z
  .object({ id: repositoryId, type: z.literal('repository_deleted') })
  .meta({ id: 'RepositoryDeleted' })

function nameProblem(name: string): string | null {
  const isClean = /^[^<>\p{Cc}\p{Cs}\u2028\u2029]*$/u.test(name) && !dropped.test(name)
  return isClean
    ? null
    : 'expected a name on one line, without angle brackets, and without a space or a stop at its ends'
}

function emailProblem(email: string): string | null {
  return /^[!-;=?A-~]+@[!-;=?A-~]+$/.test(email) && !dropped.test(email)
    ? null
    : 'expected an e-mail address such as bot@example.com, without spaces and angle brackets'
}

/** What git takes off either end of a name. */
const dropped = /^[\s.,:;"'\\]|[\s.,:;"'\\]$/
