import { z } from 'zod'
import { text } from './common.ts'

/** How a task's pull request is opened; an absent field was not given. */
export interface PullRequestOptions {
  readonly draft?: boolean
  /** Logins of people who are asked for a review. */
  readonly reviewers?: readonly string[]
  /** Slugs of teams of the repository's organisation that are asked for one. */
  readonly teamReviewers?: readonly string[]
  /** Names of labels; GitHub makes those that are missing. */
  readonly labels?: readonly string[]
}

/** GitHub asks at most fifteen for one pull request. */
const reviewersMax = 15
const labelsMax = 20
/** GitHub's own bound. */
const labelCharsMax = 50

const fields = {
  draft: z.boolean().describe('Open it as a draft.'),
  reviewers: names(
    /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?$/,
    'a login such as octocat',
  ).describe('Logins of people who are asked for a review.'),
  teamReviewers: names(
    /^[a-z0-9_][a-z0-9._-]{0,99}$/i,
    'the slug of a team such as reviewers',
  ).describe('Slugs of teams that are asked for a review.'),
  labels: z
    .array(text(labelCharsMax))
    .max(labelsMax)
    .describe('Labels of the pull request; those that do not exist are made.'),
} as const

/** Of an order at `/api/workflows`. */
export const pullRequestInCamelCase = z
  .strictObject({
    draft: fields.draft.optional(),
    reviewers: fields.reviewers.optional(),
    teamReviewers: fields.teamReviewers.optional(),
    labels: fields.labels.optional(),
  })
  .describe('How the pull request is opened.')

/** Of an order at `/v1/tasks`. */
export const pullRequestInSnakeCase = z
  .strictObject({
    draft: fields.draft.optional(),
    reviewers: fields.reviewers.optional(),
    team_reviewers: fields.teamReviewers.optional(),
    labels: fields.labels.optional(),
  })
  .describe('How the pull request is opened.')

/** Of a repository: null clears. */
export const pullRequestPatch = z
  .strictObject({
    draft: fields.draft.nullish(),
    reviewers: fields.reviewers.nullish(),
    team_reviewers: fields.teamReviewers.nullish(),
    labels: fields.labels.nullish(),
  })
  .describe('How pull requests are opened.')

/** As `/v1` shows them; null: not given. */
export const pullRequestShown = z.object({
  draft: z.boolean().nullable(),
  reviewers: z.array(z.string()).nullable(),
  team_reviewers: z.array(z.string()).nullable(),
  labels: z.array(z.string()).nullable(),
})

/** Leaves out what was not given. */
export function toPullRequest(
  given: {
    readonly [Field in keyof PullRequestOptions]: PullRequestOptions[Field] | undefined
  },
): PullRequestOptions {
  const { draft, reviewers, teamReviewers, labels } = given
  return {
    ...(draft !== undefined && { draft }),
    ...(reviewers && { reviewers }),
    ...(teamReviewers && { teamReviewers }),
    ...(labels && { labels }),
  }
}

function names(form: RegExp, expected: string) {
  return z.array(z.string().regex(form, `expected ${expected}`)).max(reviewersMax)
}
