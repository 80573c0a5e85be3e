import { titleOf } from '../tasks/naming.ts'
import { type Changes, commitAll } from '../workspace/changes.ts'
import { storeDifference } from './difference.ts'
import type { Attempt } from './phase.ts'

/**
 * Commits everything that is in the workspace, by the name of the order or of the message that
 * reopened the task, and writes down what the task's commits are now, what they change, and that the
 * work was found on another branch, or that git puts some paths into no commit, if so. Throws `GitFailed` when git cannot.
 */
export async function commitWork(attempt: Attempt, prefix = ''): Promise<Changes> {
  const { task, workspace, journal, branch } = attempt
  const { base, byProducts } = journal.progress
  if (base === undefined) throw new Error(`${task.id} is committed before it was cloned`)
  const message = `${prefix}${journal.progress.earlier?.title ?? titleOf(task.order)}`
  const changes = await commitAll(workspace, {
    ...{ base: base.commit, branch, message, byProducts, committer: task.order.commit },
  })
  const { tip, commits, taken, leftOut } = changes
  await journal.write({ commits: [...commits] }, [
    ...(taken === undefined
      ? []
      : [{ type: 'workspace.branch_taken', branch: taken, commit: tip }]),
    ...(leftOut.length === 0 ? [] : [{ type: 'workspace.left_out', paths: leftOut }]),
  ])
  if (commits.length > 0) await storeDifference(attempt, { base: base.commit, tip })
  return changes
}
