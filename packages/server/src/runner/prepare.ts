import { parseRepoUrl } from '@longhaul/client/contract'
import { remoteRefs } from '../gateway/remote-refs.ts'
import { putArtifact } from '../store/artifacts.ts'
import { excludeByProducts, listByProducts } from '../workspace/by-products.ts'
import { seedCaches } from '../workspace/caches.ts'
import {
  type Base,
  BaseRefused,
  chooseBranch,
  clearLocks,
  clone,
  listRefs,
  refsToAsk,
} from '../workspace/clone.ts'
import { detectPlan, type Plan } from '../workspace/detect.ts'
import { unfinishedPattern } from '../workspace/files.ts'
import { GitFailed } from '../workspace/git.ts'
import { keepHome } from '../workspace/home.ts'
import { runBounded } from './command.ts'
import { type Attempt, failed, failedWithin, type PhaseEnd } from './phase.ts'
import { readingPolicyOf } from './policy.ts'
import { type TakenUp, takeUp } from './take-up.ts'

/** A host that does not answer is tried again, after these waits. */
const cloneWaitsMs = [2000, 8000] as const

/**
 * Makes the workspace: the clone, the branch, the plan of checks (fixed here, before the agent can
 * touch anything), and the set-up commands. On the node that has the workspace already, only what
 * was not finished is done.
 */
export async function prepare(attempt: Attempt): Promise<PhaseEnd> {
  const { journal, deps } = attempt
  await journal.enter('preparing')
  let plan: Plan | null = null
  if (journal.progress.next === 'clone' || journal.progress.node !== deps.node) {
    const made = await makeClone(attempt)
    if ('state' in made) return made
    plan = made
  } else {
    await clearLocks(attempt.workspace)
  }
  return journal.progress.next === 'setup' ? setUp(attempt, plan) : null
}

async function makeClone(attempt: Attempt): Promise<Plan | NonNullable<PhaseEnd>> {
  const { task, workspace, journal, deps, branch } = attempt
  const cloned = await tryClone(attempt)
  if (!('commit' in cloned)) return cloned
  const begun = await begin(attempt, cloned)
  if (!('base' in begun)) return begun
  const { base } = begun
  attempt.guidance.of(base.commit).catch(() => undefined) // Who opens the agent hears of it.
  const plan = await detectPlan(workspace, { commit: base.commit, workdir: task.order.workdir })
  const checks =
    journal.progress.base === undefined
      ? [...(task.order.checks ?? (task.type === 'analysis' ? [] : plan.checks))]
      : journal.progress.checks
  await journal.write({ next: 'setup', node: deps.node, checks, commits: [], ...begun }, [
    {
      type: 'workspace.cloned',
      repo_url: parseRepoUrl(task.order.repoUrl).url,
      base_branch: base.branch,
      base_commit: base.commit,
      branch,
      ...(begun.earlier === undefined
        ? {}
        : { start: begun.earlier.start, commit: begun.earlier.commit ?? base.commit }),
      checks,
      detected_setup: plan.setup,
    },
  ])
  return plan
}

/** What the branch begins with: the base, and where the task was reopened the work of before. */
async function begin(
  attempt: Attempt,
  cloned: Base,
): Promise<(Partial<TakenUp> & Pick<TakenUp, 'base'>) | NonNullable<PhaseEnd>> {
  const { earlier } = attempt.journal.progress
  if (earlier !== undefined) return takeUp(attempt, { cloned, earlier })
  return { base: cloned }
}

async function tryClone(attempt: Attempt): Promise<Base | NonNullable<PhaseEnd>> {
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
      const refused = (why: string) =>
        failedWithin(
          attempt.limitNotes.look(),
          'repository_unreachable',
          `${url} could not be cloned: ${why}`,
        )
      if (error instanceof BaseRefused) return refused(error.message)
      if (!(error instanceof GitFailed)) throw error
      const waitMs = cloneWaitsMs[tried]
      if (waitMs === undefined || !isPassing(error)) return refused(error.message)
      await deps.clock.sleep(waitMs, workspace.signal)
    }
  }
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

/** A home that has the packages of the set-up before it. */
async function seed({ deps, task, workspace }: Attempt): Promise<void> {
  const mirror = deps.mirrors.of(task.order)
  if (mirror !== null) await seedCaches(workspace, mirror.home)
}

async function keepForNext(
  { deps, task, workspace, journal }: Attempt,
  { base, plan }: { readonly base: Base; readonly plan: Plan },
): Promise<void> {
  // The work of before, on a task's own branch, is an agent's.
  const isTheirs = base.isDefault && journal.progress.earlier === undefined
  if (isTheirs) await deps.mirrors.keepCaches(task.order, workspace, plan.packages)
}

/** `known`: the plan, when this attempt has read it already. */
async function setUp(attempt: Attempt, known: Plan | null): Promise<PhaseEnd> {
  const { task, workspace, journal } = attempt
  const { setup: given, workdir } = task.order
  const { base } = journal.progress
  if (base === undefined) throw new Error(`${task.id} is set up before it was cloned`)
  const plan = known ?? (await detectPlan(workspace, { commit: base.commit, workdir }))
  const commands = given ?? (plan.setup === null ? [] : [plan.setup])
  if (commands.length > 0) {
    const end = await runSetUp(attempt, commands)
    if (end !== null) return end
    await keepHome(workspace)
    if (journal.progress.setupFailure === undefined) await keepForNext(attempt, { base, plan })
  }
  const made = commands.length === 0 ? [] : await listByProducts(workspace)
  await excludeByProducts(workspace, made)
  const { setupFailure } = journal.progress
  await journal.write({ next: 'agent', byProducts: [unfinishedPattern, ...made] }, [
    { type: 'workspace.setup_finished', commands, failure: setupFailure ?? null },
  ])
  return null
}

async function runSetUp(attempt: Attempt, commands: readonly string[]): Promise<PhaseEnd> {
  const { task, journal, deps, lease } = attempt
  const { setup: given } = task.order
  await journal.write({}, [{ type: 'workspace.setup_started', commands }])
  await seed(attempt)
  for (const command of commands) {
    const { result, output, hit } = await runBounded(attempt, command)
    await putArtifact(deps.store.db, {
      sessionId: lease.sessionId,
      attempt: lease.attempt,
      name: 'setup.log',
      contentType: 'text/plain; charset=utf-8',
      data: Buffer.from(output),
      createdBy: task.created_by,
      now: new Date(deps.clock.now()),
    })
    if (result.outcome === 'passed') continue
    const said = `the set-up command ${JSON.stringify(command)} ${result.outcome === 'timed_out' ? 'took too long' : `exited with ${result.exit_code ?? 'a signal'}`}`
    if (given !== undefined) {
      return failed(hit?.reason ?? 'setup_failed', `${said}: ${result.output_tail.slice(-500)}`)
    }
    // Detected, not ordered: the agent hears of it, and may make do or mend it.
    await journal.write({ setupFailure: result })
    break
  }
  return null
}
