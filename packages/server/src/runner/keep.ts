import { join } from 'node:path'
import { whereFilesAre } from '../sandbox/disk/disk.ts'
import { type NewArtifact, type PutArtifact, putArtifact } from '../store/artifacts.ts'
import { getCheckpoint } from '../store/checkpoints.ts'
import { keepDirectory } from '../store/sessions.ts'
import { patchName } from '../tasks/follow-up.ts'
import { keptBranchOf } from '../tasks/naming.ts'
import { presets } from '../tasks/presets.ts'
import type { Progress } from '../tasks/progress.ts'
import { excludeByProducts } from '../workspace/by-products.ts'
import { GitFailed } from '../workspace/git.ts'
import { bundleOtherWork } from '../workspace/other-work.ts'
import { patch } from '../workspace/patch.ts'
import { tryClone } from './clone.ts'
import { commitWork } from './commit.ts'
import { type Attempt, isUnchanged } from './phase.ts'
import { pushBranch } from './push.ts'
import { backToBase, isPending, lostIn, restore } from './rebuild.ts'

/** Keeping the work of a task may take this long, and no longer. */
const keepMsMax = 120_000
/** A push slower than this is given up in time for the patch. */
const keepPushMsMax = 60_000
const bundleName = 'other-work.bundle'

type Kept = NonNullable<Progress['kept']>
type End = 'completed' | 'failed'

/**
 * Keeps what would go with the workspace: the work of a task that failed, on `agent/…-wip`, or as a
 * patch where nothing may be, or could be, pushed; and what the agent of any task left on other
 * branches or in stashes, as a bundle. What cannot be kept stays in the workspace, which stays with
 * it. Answers a sentence that says where it is, or null when there is nothing to keep.
 *
 * An attempt after a crash finds it done, or does it again. Throws when `stop` gives it up, and when
 * the store cannot be written.
 */
export async function keepWork(
  attempt: Attempt,
  { end, stop }: { readonly end: End; readonly stop: AbortSignal },
): Promise<string | null> {
  const { deps, task, workspace, journal } = attempt
  const { kept } = journal.progress
  if (!hasWork(journal.progress)) return null
  // What an analysis changes is for itself alone, unless it is cut off and nobody has its report.
  if (end === 'completed' && !presets[task.type].publishes) return null
  if (kept === undefined) {
    const late = new AbortController()
    using _timer = deps.clock.after(keepMsMax, () => late.abort(new Error('keeping took too long')))
    const signal = AbortSignal.any([late.signal, stop])
    const bounded = { ...attempt, workspace: { sandbox: workspace.sandbox, signal } }
    if (isAway(bounded) && !(await bringBack(bounded, stop))) return whereabouts(journal.progress)
    await record(attempt, await keep(bounded, { end, stop }))
  }
  return sentenceOf(journal.progress, end)
}

/** Leaves the workspace as it is, with the work in it: not even its walls could be opened. */
export async function leaveWork(
  o: Pick<Attempt, 'deps' | 'lease' | 'journal'>,
): Promise<string | null> {
  const { progress } = o.journal
  if (!hasWork(progress)) return null
  if (isAway(o)) return whereabouts(progress)
  if (progress.kept === undefined && !isPushed(progress)) {
    await record(o, { artifacts: [], directory: await workspaceOf(o) })
  }
  return sentenceOf(o.journal.progress, 'failed')
}

/** Before the agent starts there is no work, only what set-up made. */
function hasWork(progress: Progress): boolean {
  return progress.base !== undefined && lostIn(progress) !== undefined
}

/** Whether the work is not in the workspace of this node. */
function isAway({ deps, journal }: Pick<Attempt, 'deps' | 'journal'>): boolean {
  return journal.progress.node !== deps.node || isPending(journal.progress)
}

/** Another node may come back, with it. */
function whereabouts({ node }: Progress): string {
  return `The work so far is still in the workspace on the node ${node}.`
}

/** Makes the workspace anew from the last checkpoint, for what is to be kept of it. */
async function bringBack(attempt: Attempt, stop: AbortSignal): Promise<boolean> {
  const { deps, task, lease, journal, workspace } = attempt
  const { base, byProducts } = journal.progress
  const found = await getCheckpoint(deps.store.db, lease.sessionId)
  if (base === undefined || found === undefined) return false
  try {
    if (!('commit' in (await tryClone(attempt)))) return false
    if (!(await backToBase(attempt, base)) || (await restore(attempt, found)) !== null) return false
    await excludeByProducts(workspace, byProducts)
  } catch (error) {
    if (stop.aborted) throw error
    deps.log.error({ err: error, taskId: task.id }, 'the work could not be brought back')
    return false
  }
  const { next } = lostIn(journal.progress) ?? {}
  await journal.write({ ...(next && { next }), rebuild: undefined, node: deps.node })
  return true
}

/** What was pushed is the work, unless the agent worked on since. */
function isPushed({ pushed, next }: Progress): boolean {
  return pushed !== undefined && next === 'publish'
}

async function keep(
  attempt: Attempt,
  { end, stop }: { readonly end: End; readonly stop: AbortSignal },
): Promise<Kept> {
  const { deps, task, workspace, journal } = attempt
  let kept: Kept = { artifacts: [] }
  try {
    if (end === 'failed' && !isPushed(journal.progress)) kept = await keepChanges(attempt)
    const bundle = await bundleOtherWork(workspace, baseOf(journal.progress))
    if (bundle === null) return kept
    await store(attempt, {
      name: bundleName,
      isMachineFormat: true,
      contentType: 'application/x-git-bundle',
      data: bundle,
    })
    return { ...kept, artifacts: [...kept.artifacts, bundleName] }
  } catch (error) {
    if (stop.aborted) throw error
    deps.log.error({ err: error, taskId: task.id }, 'the work could not be kept')
    return { ...kept, directory: await workspaceOf(attempt) }
  }
}

/** The work that was not published, on a branch or as a patch. */
async function keepChanges(attempt: Attempt): Promise<Kept> {
  const { deps, task, workspace, journal } = attempt
  const committed = await commitWork(attempt, 'wip: ').catch((error: unknown) => {
    if (!(error instanceof GitFailed)) throw error
    deps.log.warn({ err: error, taskId: task.id }, 'the work could not be committed')
    return null // A patch needs no commit.
  })
  if (committed !== null && isUnchanged({ ...journal.progress, ...committed }, attempt.branch)) {
    return { artifacts: [] }
  }
  if (committed !== null && presets[task.type].publishes) {
    const { tip } = committed
    const branch = keptBranchOf(attempt.branch)
    if (await pushKept(attempt, { tip, branch })) {
      return { pushed: { branch, commit: tip }, artifacts: [] }
    }
  }
  const data = await patch(workspace, baseOf(journal.progress))
  if (data.length === 0) return { artifacts: [] }
  const { isScrubbed } = await store(attempt, {
    ...{ name: patchName, contentType: 'text/x-patch', data },
  })
  return { artifacts: [patchName], ...(isScrubbed && { scrubbed: true }) }
}

/** Whether it is there: whatever keeps it from being pushed, the patch is next. */
async function pushKept(
  attempt: Attempt,
  { tip, branch }: { readonly tip: string; readonly branch: string },
): Promise<boolean> {
  const { deps, task, workspace } = attempt
  try {
    const refused = await pushBranch(attempt, {
      ...{ workspace, tip, branch, timeoutMs: keepPushMsMax },
    })
    if (refused !== null) deps.log.warn({ taskId: task.id, refused }, 'the work was not pushed')
    return refused === null
  } catch (error) {
    workspace.signal.throwIfAborted()
    deps.log.warn({ err: error, taskId: task.id }, 'the work could not be pushed')
    return false
  }
}

function store(
  { deps, task, lease }: Attempt,
  artifact: Pick<NewArtifact, 'name' | 'contentType' | 'data' | 'isMachineFormat'>,
): Promise<PutArtifact> {
  return putArtifact(deps.store.db, {
    ...artifact,
    sessionId: lease.sessionId,
    attempt: lease.attempt,
    createdBy: task.created_by,
    now: new Date(deps.clock.now()),
  })
}

async function record(
  { deps, lease, journal }: Pick<Attempt, 'deps' | 'lease' | 'journal'>,
  kept: Kept,
): Promise<void> {
  const { pushed, artifacts, directory, scrubbed = false } = kept
  const what = { ...pushed, artifacts, ...(scrubbed && { secrets_removed: true }) }
  // Before it is said: what stays without need is only disk, and bounded.
  if (directory !== undefined) {
    await keepDirectory(deps.store.db, { id: lease.sessionId, now: new Date(deps.clock.now()) })
  }
  await journal.write({ kept }, [
    ...(pushed || artifacts.length > 0 ? [{ type: 'workspace.kept', ...what }] : []),
    ...(directory === undefined ? [] : [{ type: 'workspace.left', directory }]),
  ])
}

function sentenceOf(progress: Progress, end: End): string | null {
  const { pushed, kept } = progress
  const where: string[] = []
  if (pushed && isPushed(progress) && end === 'failed')
    where.push(`The work is on the branch ${pushed.branch}.`)
  if (kept?.pushed) where.push(`The work so far is on the branch ${kept.pushed.branch}.`)
  if (kept?.artifacts.includes(patchName))
    where.push(`The work so far is the artifact ${patchName}${kept.scrubbed ? scrubbedWords : ''}.`)
  if (kept?.artifacts.includes(bundleName)) {
    where.push(`What was left on other branches or in stashes is the artifact ${bundleName}.`)
  }
  if (kept?.directory !== undefined) {
    const what = where.length === 0 && end === 'failed' ? 'The work' : 'Other work'
    where.push(`${what} could not be kept; it is still in ${kept.directory} on the server.`)
  }
  return where.length === 0 ? null : where.join(' ')
}

/** Nobody should take what is there for the whole work. */
const scrubbedWords = ', in which [secret] stands for each secret of the server that was in it'

function baseOf({ base }: Progress): string {
  return base?.commit ?? 'HEAD'
}

/** A directory or, where the session has a disk of its own, the image of that. */
function workspaceOf({ deps, lease }: Pick<Attempt, 'deps' | 'lease'>): Promise<string> {
  return whereFilesAre(join(deps.dataDir, 'sessions', lease.sessionId))
}
