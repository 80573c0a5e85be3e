import { putArtifact } from '../store/artifacts.ts'
import { keptBranchOf, titleOf } from '../tasks/naming.ts'
import { presets } from '../tasks/presets.ts'
import { commitAll, patch, push } from '../workspace/changes.ts'
import { clearLocks } from '../workspace/clone.ts'
import { GitFailed, type Workspace } from '../workspace/git.ts'
import type { Attempt } from './phase.ts'

/** Keeping the work of a task that failed may take this long, and no longer. */
const keepMsMax = 120_000
/** A push slower than this is given up in time for the patch. */
const keepPushMsMax = 60_000
const patchName = 'work.patch'

/**
 * Keeps what a task that did not complete has changed: on `agent/…-wip`, or as a patch where nothing
 * may be, or could be, pushed. Answers a sentence that says where it is, or null when there is
 * nothing to keep. Work that cannot be kept is logged; it never hides why the task failed.
 */
export async function keepWork(attempt: Attempt): Promise<string | null> {
  const { deps, task, journal, workspace } = attempt
  const { base, pushed } = journal.progress
  const { next } = journal.progress
  // Before the agent starts there is no work, only what set-up made.
  if (pushed !== undefined) return `The work is on the branch ${pushed.branch}.`
  if (base === undefined || next === 'setup') return null
  const stop = new AbortController()
  using _timer = deps.clock.after(keepMsMax, () => stop.abort(new Error('keeping took too long')))
  const kept: Workspace = { sandbox: workspace.sandbox, signal: stop.signal }
  try {
    await clearLocks(kept)
    const branch = presets[task.type].publishes ? await pushKept(attempt, kept) : null
    if (branch !== null) return `The work so far is on the branch ${branch}.`
    return (await storePatch(attempt, kept))
      ? `The work so far is the artifact ${patchName}.`
      : null
  } catch (error) {
    deps.log.error({ err: error, taskId: task.id }, 'the work could not be kept')
    return null
  }
}

/** The branch, or null when there is nothing to push or the remote refuses it. */
async function pushKept(attempt: Attempt, workspace: Workspace): Promise<string | null> {
  const { task, journal } = attempt
  const branch = keptBranchOf(attempt.branch)
  const { tip, commits } = await commitAll(workspace, {
    base: journal.progress.base?.commit ?? 'HEAD',
    message: `wip: ${titleOf(task.order)}`,
  })
  if (commits.length === 0) return null
  try {
    await push(workspace, { url: task.order.repoUrl, tip, branch, timeoutMs: keepPushMsMax })
  } catch (error) {
    if (error instanceof GitFailed) return null
    throw error
  }
  await journal.write({ pushed: { branch, commit: tip }, commits: [...commits] }, [
    { type: 'workspace.kept', branch, commit: tip },
  ])
  return branch
}

async function storePatch(attempt: Attempt, workspace: Workspace): Promise<boolean> {
  const { deps, task, lease, journal } = attempt
  const text = await patch(workspace, journal.progress.base?.commit ?? 'HEAD')
  if (text === '') return false
  await putArtifact(deps.store.db, {
    sessionId: lease.sessionId,
    attempt: lease.attempt,
    name: patchName,
    contentType: 'text/x-patch; charset=utf-8',
    data: Buffer.from(text),
    createdBy: task.created_by,
    now: new Date(deps.clock.now()),
  })
  await journal.write({}, [{ type: 'workspace.kept', artifact: patchName }])
  return true
}
