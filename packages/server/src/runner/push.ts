import { RemoteRefused } from '../gateway/git-host.ts'
import { remoteTip } from '../gateway/remote-tip.ts'
import { push } from '../workspace/changes.ts'
import { GitFailed, type Workspace } from '../workspace/git.ts'
import type { Attempt } from './phase.ts'
import { policyOf } from './policy.ts'

/**
 * Brings `tip` to one of the task's own branches. That git inside the sandbox says so is no proof:
 * the remote itself is asked what it has now. Answers null once it is there, or the sentence that
 * refuses it. Throws what another attempt may find mended.
 */
export async function pushBranch(
  { deps, task }: Pick<Attempt, 'deps' | 'task'>,
  o: {
    readonly workspace: Workspace
    readonly tip: string
    readonly branch: string
    readonly timeoutMs?: number
  },
): Promise<string | null> {
  const { workspace, tip, branch } = o
  const refused = (why: string): string => `The branch ${branch} could not be pushed: ${why}`
  try {
    await push(workspace, { ...o, url: task.order.repoUrl })
    const { clock } = deps
    const policy = policyOf(deps, task, null)
    const ref = `refs/heads/${branch}`
    const found = await remoteTip({ policy, ref, clock, signal: workspace.signal })
    if (found === tip) return null
    return refused(
      `git reported success, but the remote has ${found ?? 'no such branch'} instead of ${tip}.`,
    )
  } catch (error) {
    if (error instanceof RemoteRefused) return refused(error.message)
    if (error instanceof GitFailed && isRefusal(error)) return refused(error.message)
    throw error
  }
}

/** Whether the remote said no; otherwise the way there failed, and another attempt may succeed. */
function isRefusal({ isFinal, message }: GitFailed): boolean {
  return (
    isFinal &&
    !/error: (?:5\d\d|429)|timed out|hung up|reset by peer|Failed to connect/i.test(message)
  )
}
