import type { CheckpointRow } from '../store/checkpoint-tables.ts'
import { getCheckpoint, readCheckpoint } from '../store/checkpoints.ts'
import { getSession } from '../store/sessions.ts'
import type { Progress } from '../tasks/progress.ts'
import { CheckpointFailed, restoreCheckpoint } from '../workspace/checkpoint.ts'
import { type Base, fetchCommit, hasFiles } from '../workspace/clone.ts'
import { branchAt } from '../workspace/earlier-work.ts'
import { tryGit } from '../workspace/git.ts'
import { lostCalls } from './cut-off.ts'
import type { Attempt } from './phase.ts'

type Rebuild = NonNullable<Progress['rebuild']>

/** Whether this node lacks the workspace: another one has it, or had, or its files were removed. */
export async function isElsewhere({ deps, journal, workspace }: Attempt): Promise<boolean> {
  return journal.progress.node !== deps.node || !(await hasFiles(workspace))
}

/** The phase in which the agent's workspace was lost; undefined: there was none of the agent's yet. */
export function lostIn(progress: Progress): Rebuild | undefined {
  const { next } = progress
  if (next !== 'clone' && next !== 'setup') return { next }
  return isPending(progress) ? progress.rebuild : undefined
}

/** Whether what the agent did is still to be put back. */
export function isPending(
  progress: Progress,
): progress is Progress & { readonly rebuild: Rebuild } {
  return progress.rebuild !== undefined && progress.rebuild.seq === undefined
}

/**
 * Checks out what the work began with, whatever the base branch has by now. Set-up runs on that: of
 * what it leaves, for the checks and the next task, nothing is the agent's. False: it is not to be
 * had any more.
 */
export async function backToBase({ workspace, branch }: Attempt, base: Base): Promise<boolean> {
  if (!(await fetchCommit(workspace, base.commit))) return false
  await branchAt(workspace, { branch, commit: base.commit })
  return true
}

/**
 * Puts what the last checkpoint has into the new clone, and the task goes on with the phase that it
 * was lost in; with the agent, where that phase would miss something. What cannot be put back is
 * lost, and the agent hears of it. Throws when another try may help.
 */
export async function putBack(
  attempt: Attempt,
  { byProducts, rebuild }: { readonly byProducts: readonly string[]; readonly rebuild: Rebuild },
): Promise<void> {
  const { deps, lease, writer, journal } = attempt
  const { db } = deps.store
  const found = await getCheckpoint(db, lease.sessionId)
  const refused = found === undefined ? 'There was no checkpoint.' : await restore(attempt, found)
  await writer.flush()
  const until = (await getSession(db, lease.sessionId))?.last_seq ?? 0
  const back = refused === null ? found : undefined
  const done = { ...rebuild, seq: back?.seq ?? 0, until }
  const next = await nextOf(attempt, done)
  await journal.write({ next, byProducts: [...byProducts], rebuild: done }, [
    {
      type: 'workspace.restored',
      commit: back?.commit ?? null,
      bytes: back?.bytes ?? 0,
      of: back?.seq ?? null,
      ...(refused === null ? {} : { message: refused }),
      next,
    },
  ])
}

/** Puts a checkpoint into a clone of its base: null, or why it cannot be. */
export async function restore(attempt: Attempt, found: CheckpointRow): Promise<string | null> {
  const { deps, workspace, branch, journal, task } = attempt
  const { commit } = found
  if (commit === null) return null
  try {
    const content = readCheckpoint(deps.store.db, found)
    await restoreCheckpoint(workspace, { commit, content, clock: deps.clock })
    return null
  } catch (error) {
    if (!(error instanceof CheckpointFailed) || !error.isFinal) throw error
    deps.log.warn({ err: error, taskId: task.id }, 'a checkpoint could not be put back')
    await branchAt(workspace, { branch, commit: journal.progress.base?.commit ?? 'HEAD' })
    return `${error.message}.`
  }
}

/** What the checks built, or a set-up of the agent's, is gone: what was not begun is checked again. */
async function nextOf(attempt: Attempt, rebuild: Rebuild): Promise<Rebuild['next']> {
  const { tip, commands, commandStarted } = attempt.journal.progress
  const isWhole = (await lostCalls(attempt, rebuild)).length === 0
  switch (rebuild.next) {
    case 'agent':
      return 'agent'
    case 'checks':
      return isWhole ? 'checks' : 'agent'
    case 'commands':
    case 'publish': {
      if (tip !== undefined && !(await has(attempt, tip))) return 'agent'
      const isBegun = commandStarted || commands.length > 0
      return rebuild.next === 'commands' && !isBegun ? 'checks' : rebuild.next
    }
  }
}

async function has({ workspace }: Attempt, commit: string): Promise<boolean> {
  return (await tryGit(workspace, ['cat-file', '-e', `${commit}^{commit}`])).exitCode === 0
}
