import { parseRepoUrl } from '@longhaul/client/contract'
import { putArtifact } from '../store/artifacts.ts'
import type { Progress } from '../tasks/progress.ts'
import { excludeByProducts, listByProducts } from '../workspace/by-products.ts'
import { seedCaches } from '../workspace/caches.ts'
import { type Base, clearLocks } from '../workspace/clone.ts'
import { detectPlan, type Plan } from '../workspace/detect.ts'
import { unfinishedPattern } from '../workspace/files.ts'
import { keepHome } from '../workspace/home.ts'
import { tryClone } from './clone.ts'
import { runBounded } from './command.ts'
import { type Attempt, failed, type PhaseEnd } from './phase.ts'
import { backToBase, isElsewhere, isPending, lostIn, putBack } from './rebuild.ts'
import { type TakenUp, takeUp } from './take-up.ts'

/**
 * Makes the workspace: the clone, the branch, the plan of checks (fixed here, before the agent can
 * touch anything), and the set-up commands. On the node that has the workspace already, only what
 * was not finished is done.
 */
export async function prepare(attempt: Attempt): Promise<PhaseEnd> {
  const { journal } = attempt
  await journal.enter('preparing')
  let plan: Plan | null = null
  if (journal.progress.next === 'clone' || (await isElsewhere(attempt))) {
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
  await journal.write({ next: 'setup', node: deps.node, checks, ...begun }, [
    {
      type: 'workspace.cloned',
      repo_url: parseRepoUrl(task.order.repoUrl).url,
      base_branch: base.branch,
      base_commit: base.commit,
      branch,
      ...(begun.earlier === undefined ? {} : startOf(begun.earlier, base)),
      checks,
      detected_setup: plan.setup,
    },
  ])
  return plan
}

function startOf({ start, commit, scrubbed }: TakenUp['earlier'], base: Base) {
  const isScrubbed = start === 'patch' && scrubbed === true
  return { start, commit: commit ?? base.commit, ...(isScrubbed && { secrets_removed: true }) }
}

/**
 * What the branch begins with: the base, and where the task was reopened the work of before. A clone
 * in place of a lost workspace begins where that one did, as long as the host has it.
 */
async function begin(attempt: Attempt, cloned: Base): Promise<Begun | NonNullable<PhaseEnd>> {
  const { progress } = attempt.journal
  const { earlier, base } = progress
  const rebuild = lostIn(progress)
  if (rebuild !== undefined && base !== undefined && (await backToBase(attempt, base)))
    return { base, rebuild }
  const begun =
    earlier === undefined ? { base: cloned } : await takeUp(attempt, { cloned, earlier })
  return 'base' in begun ? { commits: [], ...begun, rebuild } : begun
}

type Begun = Partial<TakenUp> &
  Pick<TakenUp, 'base'> &
  Partial<Pick<Progress, 'rebuild' | 'commits'>>

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
  const { earlier, rebuild } = journal.progress
  const isTheirs = base.isDefault && earlier === undefined && rebuild === undefined
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
  const { setupFailure, rebuild } = journal.progress
  const byProducts = [unfinishedPattern, ...made]
  const finished = { type: 'workspace.setup_finished', commands, failure: setupFailure ?? null }
  if (rebuild !== undefined && isPending(journal.progress)) {
    const before = journal.progress.byProducts.filter((pattern) => !byProducts.includes(pattern))
    await excludeByProducts(workspace, before)
    await journal.write({}, [finished])
    await putBack(attempt, { byProducts: [...byProducts, ...before], rebuild })
  } else await journal.write({ next: 'agent', byProducts }, [finished])
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
    // Of a workspace that is made anew the work is not given up for it.
    if (given !== undefined && journal.progress.rebuild === undefined) {
      return failed(hit?.reason ?? 'setup_failed', `${said}: ${result.output_tail.slice(-500)}`)
    }
    // Detected, not ordered: the agent hears of it, and may make do or mend it.
    await journal.write({ setupFailure: result })
    break
  }
  return null
}
