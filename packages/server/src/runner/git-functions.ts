import { parseRepoUrl, type RepoUrl } from '@longhaul/client/contract'
import type { GitFunctions } from '../agent/tools/git.ts'
import { ToolRefused } from '../agent/tools/tool.ts'
import { cloneBeside, otherPattern } from '../workspace/clone-beside.ts'
import { commit, pull } from '../workspace/commit.ts'
import { diff, headOf, log, status } from '../workspace/look.ts'
import { namesOf } from '../workspace/path.ts'
import type { Attempt } from './phase.ts'
import { pushBranch } from './push.ts'
import { callOf, told } from './tool-functions.ts'

/** A push that takes longer is given up, in time for the tool to say so. */
const pushMsMax = 4 * 60_000

/** What the git tools do in this attempt. What changes anything is done one after the other. */
export function gitFunctions(attempt: Attempt): GitFunctions {
  const base = baseOf(attempt)
  const commitOf = (revision: string): string => (revision === 'base' ? base.commit : revision)
  const inTurn = turns()
  return {
    status: (signal) => told(status(callOf(attempt, signal))),
    log: ({ revision, task, ...o }, signal) => {
      const after = task ? base.commit : undefined
      return told(log(callOf(attempt, signal), { ...o, revision: commitOf(revision), after }))
    },
    diff: ({ from, to, ...o }, signal) => {
      const ends = { from: commitOf(from), to: to === undefined ? undefined : commitOf(to) }
      return told(diff(callOf(attempt, signal), { ...o, ...ends }))
    },
    commit: (o, signal) =>
      inTurn(() => told(commit(callOf(attempt, signal), { ...o, base: base.commit }))),
    push: (signal) => inTurn(() => told(pushHead(attempt, signal))),
    pull: (branch, signal) => inTurn(() => told(pullBranch(attempt, branch, signal))),
    clone: (o, signal) => inTurn(() => told(cloneOther(attempt, o, signal))),
  }
}

function baseOf({ task, journal }: Attempt) {
  const { base } = journal.progress
  if (base === undefined) throw new Error(`${task.id} has an agent before it was cloned`)
  return base
}

/** Runs one after the other, whatever comes of each; as many wait as there are calls at once. */
function turns(): <T>(run: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (run) => {
    const next = last.then(run)
    last = next.catch(() => undefined) // Its caller hears of it.
    return next
  }
}

/** As the server itself publishes: by its own settings, and asked of the git host afterwards. */
async function pushHead(attempt: Attempt, signal: AbortSignal): Promise<string> {
  const { writer, branch } = attempt
  const workspace = callOf(attempt, signal)
  const tip = await headOf(workspace)
  if (tip === baseOf(attempt).commit)
    throw new ToolRefused('There is no commit of this task to push yet.')
  const refused = await pushBranch(attempt, { workspace, tip, branch, timeoutMs: pushMsMax })
  if (refused !== null) throw new ToolRefused(refused)
  await writer.write({ type: 'workspace.pushed', branch, commit: tip })
  return `The branch ${branch} is ${tip} on the git host now.`
}

async function pullBranch(
  attempt: Attempt,
  given: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const branch = given ?? baseOf(attempt).branch
  const url = attempt.task.order.repoUrl
  const { said, conflicts } = await pull(callOf(attempt, signal), { url, branch })
  if (conflicts.length === 0) return `Merged ${branch}.\n${said}`
  return `Merging ${branch} has conflicts in these files; resolve them, then commit:\n${conflicts.join('\n')}`
}

/** Hidden from the task's commits before it is there, so that none ever carries it. */
async function cloneOther(
  attempt: Attempt,
  o: Parameters<GitFunctions['clone']>[0],
  signal: AbortSignal,
): Promise<string> {
  const { task, journal } = attempt
  const { url } = sameHost(o.url, parseRepoUrl(task.order.repoUrl))
  const workspace = callOf(attempt, signal)
  const names = namesOf(o.directory, workspace.sandbox.paths.workspace)
  const directory = names.join('/')
  const { byProducts } = journal.progress
  await journal.write({ byProducts: [...byProducts, otherPattern(names)] })
  try {
    const { branch, depth } = o
    const commitId = await cloneBeside(workspace, { url, directory, branch, depth })
    await journal.write({}, [
      { type: 'workspace.other_cloned', repo_url: url, directory, commit: commitId },
    ])
    return `Cloned ${url} into ${directory}, at ${commitId}. No commit of this task carries it.`
  } catch (error) {
    await journal.write({ byProducts })
    throw error
  }
}

function sameHost(given: string, own: RepoUrl): RepoUrl {
  let parsed: RepoUrl
  try {
    parsed = parseRepoUrl(given)
  } catch (error) {
    throw new ToolRefused(error instanceof Error ? `${error.message}.` : String(error))
  }
  if (parsed.origin !== own.origin)
    throw new ToolRefused(`Only repositories of ${own.origin} can be cloned.`)
  return parsed
}
