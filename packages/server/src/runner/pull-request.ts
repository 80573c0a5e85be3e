import { reasons } from '@longhaul/client/contract'
import type { GitHub } from '../gateway/github.ts'
import { GitHubRefused } from '../gateway/github-call.ts'
import { getSession } from '../store/sessions.ts'
import { titleOf } from '../tasks/naming.ts'
import { pullRequestBody } from '../tasks/pull-request.ts'
import { resultOf } from '../tasks/result.ts'
import { changedFiles } from '../workspace/changes.ts'
import { type Attempt, done, failed, type PhaseEnd } from './phase.ts'

/**
 * Opens the pull request of the branch that is pushed, as the order says, and asks for reviews and
 * labels. What of that GitHub refuses is said, and fails nothing: the work is there.
 */
export async function openPullRequest(
  attempt: Attempt,
  gitHub: GitHub,
): Promise<NonNullable<PhaseEnd>> {
  const { journal } = attempt
  if (journal.progress.pullRequestNotes === undefined) {
    try {
      const pull = await open(attempt, gitHub)
      // One that was there is as people have left it.
      if (journal.progress.pullRequestNotes === undefined) await dress(attempt, gitHub, pull)
    } catch (error) {
      if (!(error instanceof GitHubRefused) || error.isPassing) throw error
      return failed('pull_request_rejected', `GitHub refused the pull request: ${error.message}.`)
    }
  }
  const notes = journal.progress.pullRequestNotes ?? []
  return done(notes.length === 0 ? undefined : [reasons.done.sentence, ...notes].join(' '))
}

type Pull = Awaited<ReturnType<GitHub['openPullRequest']>>

async function open(attempt: Attempt, gitHub: GitHub): Promise<Pull> {
  const { deps, task, lease, workspace, journal, branch } = attempt
  const { base, pullRequestUrl, earlier } = journal.progress
  const replaces = earlier?.pullRequestUrl ?? null
  if (base === undefined) throw new Error(`${task.id} is published before it was cloned`)
  const session = await getSession(deps.store.db, lease.sessionId)
  const pull = await gitHub.openPullRequest({
    head: branch,
    base: base.branch,
    title: titleOf(task.order),
    body: pullRequestBody({
      order: task.order,
      taskId: task.id,
      publicUrl: deps.publicUrl,
      result: resultOf(journal.progress, session),
      changedFiles: await changedFiles(workspace, base.commit),
    }),
    draft: task.order.pullRequest?.draft ?? false,
    replaces,
    signal: workspace.signal,
  })
  const { url, number, draft } = pull
  if (url === replaces) {
    const updated = { type: 'task.pull_request_updated', url, number, branch }
    await journal.write({ pullRequestUrl: url, pullRequestNotes: [] }, [updated])
  } else if (pullRequestUrl === undefined) {
    await journal.write({ pullRequestUrl: url }, [
      { type: 'task.pull_request_opened', url, number, draft, branch, replaces },
    ])
  }
  return pull
}

/** What could not be had of the order, and GitHub's reason. */
interface Refused {
  readonly field: 'draft' | 'reviewers' | 'team_reviewers' | 'labels'
  readonly name: string
  readonly message: string
}

async function dress(attempt: Attempt, gitHub: GitHub, { url, number, draft }: Pull) {
  const { task, workspace, journal } = attempt
  const { signal } = workspace
  const order = task.order.pullRequest ?? {}
  const replaces = journal.progress.earlier?.pullRequestUrl
  const { reviewers = [], teamReviewers = [], labels = [] } = order
  const isDraftRefused = order.draft === true && !draft
  const refused: Refused[] = [
    ...(isDraftRefused ? [draftRefused] : []),
    ...(await each('reviewers', reviewers, (some) =>
      gitHub.requestReviews({ number, reviewers: some, signal }),
    )),
    ...(await each('team_reviewers', teamReviewers, (some) =>
      gitHub.requestReviews({ number, teamReviewers: some, signal }),
    )),
    ...(await each('labels', labels, (some) => gitHub.addLabels({ number, labels: some, signal }))),
  ]
  const isPlain = refused.length + reviewers.length + teamReviewers.length + labels.length === 0
  await journal.write(
    {
      pullRequestNotes: [
        ...(replaces === undefined ? [] : [replaced(replaces)]),
        ...refused.map(noteOf),
      ],
    },
    isPlain ? [] : [{ type: 'task.pull_request_options_set', url, number, ...order, refused }],
  )
}

function replaced(url: string): string {
  return `It is a new pull request, since ${url} was merged or closed.`
}

const draftRefused: Refused = {
  field: 'draft',
  name: 'draft',
  message: 'GitHub takes no draft pull requests in this repository.',
}

/** All at once; where GitHub refuses one of them, one by one, so that the others are set. */
async function each(
  field: Refused['field'],
  given: readonly string[],
  set: (some: readonly string[]) => Promise<void>,
): Promise<Refused[]> {
  const names = [...new Set(given)]
  if (names.length === 0) return []
  try {
    await set(names)
    return []
  } catch (error) {
    if (!(error instanceof GitHubRefused)) throw error
    const { status, message } = error
    if (names.length === 1 || status !== 422)
      return names.map((name) => ({ field, name, message: message.slice(0, messageCharsMax) }))
  }
  const refused: Refused[] = []
  for (const name of names) refused.push(...(await each(field, [name], set)))
  return refused
}

/** Characters of GitHub's reason that are kept. */
const messageCharsMax = 300

function noteOf({ field, name, message }: Refused): string {
  switch (field) {
    case 'draft':
      return `It is no draft: ${message}`
    case 'reviewers':
      return `${name} was not asked for a review: ${message}`
    case 'team_reviewers':
      return `The team ${name} was not asked for a review: ${message}`
    case 'labels':
      return `The label ${JSON.stringify(name)} was not set: ${message}`
  }
}
