import { remoteTip } from '../gateway/remote-tip.ts'
import type { Workspace } from '../workspace/git.ts'
import { readWorkflows } from '../workspace/workflows.ts'
import type { Attempt } from './phase.ts'
import { policyOf } from './policy.ts'

/** What a commit is judged by: the order of the task, its base, and the objects in its workspace. */
export type Guarded = Pick<Attempt, 'deps' | 'task' | 'journal'> & {
  readonly workspace: Workspace
}

/**
 * Why a commit may not leave, as one sentence; null when it may. What lies in `.github/workflows` of
 * a branch is run by the host with the secrets of the repository as soon as it is pushed, so it must
 * be what the base commit has there, or what the base branch has by now on the host, unless the
 * settings of the repository allow anything.
 */
export async function refusalOf(guarded: Guarded, commit: string): Promise<string | null> {
  const { task, workspace, journal } = guarded
  if (task.order.allowWorkflowChanges === true) return null
  const { base } = journal.progress
  if (base === undefined) return 'Nothing can be pushed before the repository is cloned.'
  const [here = null, before] = await readWorkflows(workspace, [commit, base.commit])
  workspace.signal.throwIfAborted()
  if (here === null) {
    return `Whether ${commit} changes ${directory} cannot be read from the workspace, so it is not pushed.`
  }
  if (here === before || here === (await ofBaseBranch(guarded, base.branch))) return null
  return `${commit} changes ${directory}, which the settings of this repository do not allow.`
}

const directory = '.github/workflows'

/** A task that merged its base branch brings nothing new. */
async function ofBaseBranch(
  { deps, task, workspace }: Guarded,
  branch: string,
): Promise<string | null> {
  const { clock, log } = deps
  const { signal } = workspace
  const policy = policyOf(deps, task, null)
  const ref = `refs/heads/${branch}`
  const tip = await remoteTip({ policy, ref, clock, signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    log.info({ err: error, taskId: task.id }, 'the base branch could not be looked at')
    return null
  })
  const [state = null] = tip === null ? [] : await readWorkflows(workspace, [tip])
  return state
}

/**
 * `refusalOf` for the gateway: one commit after the other, however many pushes there are, and none for
 * a client that is gone.
 */
export function pushGuard(
  guarded: Guarded,
): (push: { readonly commit: string }, gone: AbortSignal) => Promise<string | null> {
  const { sandbox, signal } = guarded.workspace
  let last: Promise<unknown> = Promise.resolve()
  return ({ commit }, gone) => {
    const workspace = { sandbox, signal: AbortSignal.any([signal, gone]) }
    const refusal = last.then(() => {
      workspace.signal.throwIfAborted()
      return refusalOf({ ...guarded, workspace }, commit)
    })
    last = refusal.catch(() => undefined) // Its own caller hears of it.
    return refusal
  }
}
