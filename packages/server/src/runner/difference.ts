import { getDiffCommits, putDiff } from '../store/diffs.ts'
import { diff } from '../workspace/diff.ts'
import { GitFailed } from '../workspace/git.ts'
import type { Attempt } from './phase.ts'

/**
 * Stores what the task has changed between two commits, so that every node can show it, also when the
 * workspace is gone. Nobody's work waits for it in vain: what git cannot tell is not shown.
 */
export async function storeDifference(
  { deps, task, lease, workspace }: Attempt,
  o: { readonly base: string; readonly tip: string },
): Promise<void> {
  const { db } = deps.store
  const { sessionId, attempt } = lease
  const stored = await getDiffCommits(db, sessionId)
  if (stored?.base_commit === o.base && stored.commit === o.tip) return
  try {
    const made = await diff(workspace, o)
    await putDiff(db, {
      ...{ sessionId, attempt, baseCommit: o.base, commit: o.tip, patch: made.patch },
      body: Buffer.from(JSON.stringify(made.diff)),
      now: new Date(deps.clock.now()),
    })
  } catch (error) {
    if (!(error instanceof GitFailed)) throw error
    deps.log.warn({ err: error, taskId: task.id }, 'the difference could not be made')
  }
}
