import { parseRepoUrl } from '@longhaul/client/contract'
import { type GitHub, GitHubRefused } from '../gateway/github.ts'
import { putArtifact } from '../store/artifacts.ts'
import { getSession } from '../store/sessions.ts'
import { titleOf } from '../tasks/naming.ts'
import { presets } from '../tasks/presets.ts'
import { pullRequestBody } from '../tasks/pull-request.ts'
import { resultOf } from '../tasks/result.ts'
import { changedFiles } from '../workspace/changes.ts'
import { type Attempt, failed, type PhaseEnd } from './phase.ts'
import { gitHubOf } from './policy.ts'
import { pushBranch } from './push.ts'

/**
 * Brings the work out: the report of an analysis, or the branch and its pull request. Each step
 * looks at what is there before it acts, so a crash between any two of them is harmless.
 */
export async function publish(attempt: Attempt): Promise<NonNullable<PhaseEnd>> {
  const { task, journal, branch } = attempt
  await journal.enter('publishing')
  if (!presets[task.type].publishes) return report(attempt)
  const { tip, commits, commands } = journal.progress
  if (tip === undefined) throw new Error(`${task.id} is published before it was committed`)
  if (commits.length === 0) {
    return { state: { status: 'completed', reason: commands.length > 0 ? 'done' : 'no_changes' } }
  }
  const refused = await pushWork(attempt, tip)
  if (refused !== null) return refused
  const gitHub = gitHubOf(attempt.deps, task.order)
  if (gitHub !== null) return openPullRequest(attempt, gitHub)
  return {
    state: { status: 'completed', reason: 'done' },
    message: `The work is on the branch ${branch}. ${parseRepoUrl(task.order.repoUrl).origin} is a plain git remote here, so no pull request was opened.`,
  }
}

async function report({ deps, task, lease, journal }: Attempt): Promise<NonNullable<PhaseEnd>> {
  const name = 'report.md'
  await putArtifact(deps.store.db, {
    sessionId: lease.sessionId,
    attempt: lease.attempt,
    name,
    contentType: 'text/markdown; charset=utf-8',
    data: Buffer.from(journal.progress.summary),
    createdBy: task.created_by,
    now: new Date(deps.clock.now()),
  })
  await journal.write({}, [{ type: 'task.report_stored', artifact: name }])
  return { state: { status: 'completed', reason: 'report' } }
}

async function pushWork(attempt: Attempt, tip: string): Promise<PhaseEnd> {
  const { workspace, journal, branch } = attempt
  const { pushed } = journal.progress
  if (pushed?.commit === tip && pushed.branch === branch) return null
  const refused = await pushBranch(attempt, { workspace, tip, branch })
  if (refused !== null) return failed('push_rejected', refused)
  await journal.write({ pushed: { branch, commit: tip } }, [
    { type: 'workspace.pushed', branch, commit: tip },
  ])
  return null
}

/** Not reached, asked too often, or broken: another attempt may find it mended. */
function isPassing(status: number): boolean {
  return status === 0 || status === 429 || status >= 500
}

async function openPullRequest(attempt: Attempt, gitHub: GitHub): Promise<NonNullable<PhaseEnd>> {
  const { deps, task, lease, workspace, journal, branch } = attempt
  const { base, pullRequestUrl } = journal.progress
  if (base === undefined) throw new Error(`${task.id} is published before it was cloned`)
  if (pullRequestUrl !== undefined) return { state: { status: 'completed', reason: 'done' } }
  const session = await getSession(deps.store.db, lease.sessionId)
  try {
    const { url, number } = await gitHub.openPullRequest({
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
      draft: false,
      signal: workspace.signal,
    })
    await journal.write({ pullRequestUrl: url }, [
      { type: 'task.pull_request_opened', url, number, branch },
    ])
  } catch (error) {
    if (!(error instanceof GitHubRefused) || isPassing(error.status)) throw error
    return failed('pull_request_rejected', `GitHub refused the pull request: ${error.message}.`)
  }
  return { state: { status: 'completed', reason: 'done' } }
}
