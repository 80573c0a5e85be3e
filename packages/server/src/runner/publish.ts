import { parseRepoUrl } from '@longhaul/client/contract'
import { putArtifact } from '../store/artifacts.ts'
import { presets } from '../tasks/presets.ts'
import { type Attempt, done, failed, isUnchanged, type PhaseEnd } from './phase.ts'
import { gitHubOf } from './policy.ts'
import { openPullRequest } from './pull-request.ts'
import { pushBranch } from './push.ts'

/**
 * Brings the work out: the report of an analysis, or the branch and its pull request. Each step
 * looks at what is there before it acts, so a crash between any two of them is harmless.
 */
export async function publish(attempt: Attempt): Promise<NonNullable<PhaseEnd>> {
  const { task, journal, branch } = attempt
  await journal.enter('publishing')
  if (!presets[task.type].publishes) return report(attempt)
  const { tip, commands } = journal.progress
  if (tip === undefined) throw new Error(`${task.id} is published before it was committed`)
  if (isUnchanged(journal.progress, branch) && !lacksPullRequest(attempt)) {
    return { state: { status: 'completed', reason: commands.length > 0 ? 'done' : 'no_changes' } }
  }
  const refused = await pushWork(attempt, tip)
  if (refused !== null) return refused
  const gitHub = gitHubOf(attempt.deps, task.order, attempt.hold)
  if (gitHub !== null) return openPullRequest(attempt, gitHub)
  return done(
    `The work is on the branch ${branch}. ${parseRepoUrl(task.order.repoUrl).origin} is a plain git remote here, so no pull request was opened.`,
  )
}

/** Published before, but for a pull request that was refused then. */
function lacksPullRequest({ deps, task, journal }: Attempt): boolean {
  const { commits, earlier } = journal.progress
  const isKnown = earlier?.pullRequestUrl !== undefined || gitHubOf(deps, task.order) === null
  return commits.length > 0 && !isKnown
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
