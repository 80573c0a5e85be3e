import { GitHubRefused } from '../gateway/github-call.ts'
import { getArtifact } from '../store/artifacts.ts'
import { patchName } from '../tasks/follow-up.ts'
import type { Progress } from '../tasks/progress.ts'
import type { Base } from '../workspace/clone.ts'
import { applyWork, baseOf, branchAt, fetchBranch } from '../workspace/earlier-work.ts'
import { GitFailed } from '../workspace/git.ts'
import { type Attempt, failed, type PhaseEnd } from './phase.ts'
import { gitHubOf } from './policy.ts'

type Earlier = NonNullable<Progress['earlier']>

/** What a reopened task's workspace begins with. */
export interface TakenUp {
  readonly base: Base
  readonly earlier: Earlier
}

/**
 * Puts the work of a task that was reopened into its new clone: the task's branch as the host has it
 * now, then what could not be pushed. Work that was merged is in the base branch, and the task's
 * branch starts anew from there. Work that was pushed to a branch which is gone is gone with it; work
 * that is only kept as a patch ends the task, unharmed, when it does not fit.
 */
export async function takeUp(
  attempt: Attempt,
  o: { readonly cloned: Base; readonly earlier: Earlier },
): Promise<TakenUp | NonNullable<PhaseEnd>> {
  const source = await lookUp(attempt, o.earlier)
  if (source.start === 'branch' || source.start === 'patch') {
    return putBack(attempt, { ...o, ...source, start: source.start })
  }
  const { commit: _, ...earlier } = o.earlier
  return { base: o.cloned, earlier: { ...earlier, start: source.start } }
}

/** What the work of before is to be found in, and the branch's commit if there is one. */
async function lookUp(
  attempt: Attempt,
  earlier: Earlier,
): Promise<{ readonly start: NonNullable<Earlier['start']>; readonly tip: string | null }> {
  const { workspace, task } = attempt
  const { branch } = earlier
  const tip =
    branch === undefined ? null : await fetchBranch(workspace, { url: task.order.repoUrl, branch })
  if (earlier.patch) return { start: 'patch', tip }
  if (await wasMerged(attempt, { earlier, tip })) return { start: 'merged', tip: null }
  if (tip !== null) return { start: 'branch', tip }
  return { start: branch === undefined ? 'base' : 'gone', tip }
}

async function putBack(
  attempt: Attempt,
  o: {
    readonly cloned: Base
    readonly earlier: Earlier
    readonly start: 'branch' | 'patch'
    readonly tip: string | null
  },
): Promise<TakenUp | NonNullable<PhaseEnd>> {
  const { workspace, branch, journal } = attempt
  const { cloned, earlier, start } = o
  const firstBase = journal.progress.base?.commit ?? cloned.commit
  const commit = o.tip ?? firstBase
  try {
    await branchAt(workspace, { branch, commit })
    if (start === 'patch') await apply(attempt, firstBase)
  } catch (error) {
    if (!(error instanceof GitFailed) || !error.isFinal) throw error
    return failed('repository_unreachable', whyNot(o, error.message))
  }
  const base = await baseOf(workspace, { first: firstBase, baseTip: cloned.commit, commit })
  return { base: { ...cloned, commit: base }, earlier: { ...earlier, start, commit } }
}

/** A patch whose secrets were taken out does not find the lines that had them: nobody moved those. */
function whyNot({ start, earlier }: Pick<TakenUp, 'earlier'> & { start: string }, words: string) {
  if (start !== 'patch' || earlier.scrubbed !== true)
    return `The work of before does not fit the repository any more: ${words}`
  return `The work of before is only kept as the artifact ${patchName}, in which [secret] stands for each secret of the server that was in it, and so it does not fit the repository. Put the secrets back by hand and apply it, or order a new task; take them out of the repository first, where they do not belong. (${words})`
}

/** Whether all that the branch has was merged; work on another branch came after that. */
async function wasMerged(
  attempt: Attempt,
  { earlier, tip }: { readonly earlier: Earlier; readonly tip: string | null },
): Promise<boolean> {
  const gitHub = gitHubOf(attempt.deps, attempt.task.order)
  if (gitHub === null || earlier.branch !== attempt.branch) return false
  const { signal } = attempt.workspace
  try {
    const found = await gitHub.findPullRequest({ head: attempt.branch, signal })
    return found?.state === 'merged' && (tip === null || tip === found.commit)
  } catch (error) {
    // A token that may not look at pull requests may still see the branch.
    if (error instanceof GitHubRefused && !error.isPassing) return false
    throw error
  }
}

async function apply({ deps, lease, workspace }: Attempt, base: string): Promise<void> {
  const artifact = await getArtifact(deps.store.db, {
    sessionId: lease.sessionId,
    name: patchName,
  })
  if (artifact === null) throw new Error(`the artifact ${patchName} is gone`)
  const patch = Buffer.concat(await Array.fromAsync(artifact.read()))
  await applyWork(workspace, { base, patch })
}
