import { remoteRefs } from '../gateway/remote-refs.ts'
import {
  type Base,
  BaseRefused,
  chooseBranch,
  clone,
  listRefs,
  refsToAsk,
} from '../workspace/clone.ts'
import { unfinishedPattern } from '../workspace/files.ts'
import { GitFailed } from '../workspace/git.ts'
import { type Attempt, failedWithin, type PhaseEnd } from './phase.ts'
import { readingPolicyOf } from './policy.ts'
import { lostIn } from './rebuild.ts'

/** A host that does not answer is tried again, after these waits. */
const cloneWaitsMs = [2000, 8000] as const

/** Clones what was ordered, or says how the task ends without it. */
export async function tryClone(attempt: Attempt): Promise<Base | NonNullable<PhaseEnd>> {
  const { task, workspace, deps, branch } = attempt
  const { repoUrl: url, baseBranch } = task.order
  for (let tried = 0; ; tried += 1) {
    try {
      const order = { url, baseBranch, workBranch: branch }
      const found = chooseBranch(await refsOf(attempt, refsToAsk(order)), order)
      const at = { ...found, signal: workspace.signal }
      const commit = await deps.mirrors.read(task.order, at, (mirror) =>
        clone(workspace, {
          ...{ url, branch: found.branch, mirror: mirror?.repository ?? null },
          ...{ workBranch: branch, excluded: [unfinishedPattern] },
        }),
      )
      return { branch: found.branch, isDefault: found.isDefault, commit }
    } catch (error) {
      if (error instanceof BaseRefused) return refused(attempt, error)
      if (!(error instanceof GitFailed)) throw error
      const waitMs = isPassing(error) ? cloneWaitsMs[tried] : undefined
      if (waitMs === undefined) return refused(attempt, error)
      await deps.clock.sleep(waitMs, workspace.signal)
    }
  }
}

/**
 * Throws where it may help that other attempts try again: there is work to be saved, or the disk of the
 * node is full, which is not the task's fault.
 */
function refused(attempt: Attempt, error: BaseRefused | GitFailed): NonNullable<PhaseEnd> {
  const { journal, limitNotes, task } = attempt
  const hit = limitNotes.look()
  if (error instanceof GitFailed) {
    if (isPassing(error) && lostIn(journal.progress) !== undefined) throw error
    if (hit === null && isOfDisk(error)) throw error
  }
  return failedWithin(
    hit,
    'repository_unreachable',
    `${task.order.repoUrl} could not be cloned: ${error.message}`,
  )
}

/** One request of the server's own; a host that it cannot ask is asked by git, which says why. */
async function refsOf({ deps, task, workspace }: Attempt, names: readonly string[]) {
  const { clock } = deps
  const { signal } = workspace
  try {
    return await remoteRefs({ policy: readingPolicyOf(deps, task.order), names, clock, signal })
  } catch {
    signal.throwIfAborted()
    return listRefs(workspace, { url: task.order.repoUrl, names })
  }
}

/** Whether trying again may help: the host or the way to it failed, not the request. */
function isPassing({ message }: GitFailed): boolean {
  return /error: 5\d\d|timed out|took too long|early EOF|hung up|reset by peer|Failed to connect/i.test(
    message,
  )
}

/** Whether the disk failed: where the session's own limit did not, it is the node's. */
function isOfDisk({ message }: GitFailed): boolean {
  return /No space left on device|Input\/output error|Read-only file system/i.test(message)
}
