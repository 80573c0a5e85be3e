import { join } from 'node:path'
import { parseRepoUrl } from '@longhaul/client/contract'
import { resultOf, type Transcript } from '../agent/transcript.ts'
import type { EventWriter } from '../events/writer.ts'
import { type Gateway, openGateway } from '../gateway/server.ts'
import type { Lease } from '../queue/work-queue.ts'
import type { Sandbox } from '../sandbox/driver.ts'
import { sharedSlot } from '../sandbox/limits.ts'
import { getSession, leaseSlot } from '../store/sessions.ts'
import type { TaskRow } from '../store/tables.ts'
import type { Parking } from '../tasks/park.ts'
import { limitUsdOf } from '../tasks/progress.ts'
import { pinnedAgent } from './agent-profile.ts'
import type { Comments } from './comments.ts'
import { mcpServersFor } from './custom-tools.ts'
import type { RunnerDeps } from './deps.ts'
import { dockerOf } from './docker.ts'
import type { Ending } from './ending.ts'
import { limitsIn, pinnedEnvironment } from './environment.ts'
import { auditedBy } from './gateway-audit.ts'
import type { Hold } from './hold.ts'
import type { Journal } from './journal.ts'
import { type KeyBudget, keyBudgetOf } from './key-budget.ts'
import { noteUsage } from './limit-notes.ts'
import { holdPackages } from './packages.ts'
import { gitHubVariables, policyOf } from './policy.ts'
import { pushGuard } from './push-guard.ts'
import { quotaCause, quotaWaitMsMin } from './quota.ts'
import { secretRoutes, secretsFor } from './secrets.ts'
import type { Spending } from './spending.ts'
import { raise, taskAlert } from './task-alert.ts'

/** How long a model request waits for the transcript of the turn before it. */
const transcriptMsMax = 30_000
/** And the refusal of one that parks its task, for what its last calls brought: the agent writes that every 0.1 s. */
const resultsMsMax = 3000

/** The sandbox of a session and the one way out of it; disposing both kills what runs inside. */
export interface Walls extends AsyncDisposable {
  readonly sandbox: Sandbox
}

/** Opens the sandbox, then the gateway on its socket. */
export async function openWalls(o: {
  readonly deps: RunnerDeps
  readonly task: TaskRow
  readonly lease: Lease
  readonly hold: Hold
  readonly writer: EventWriter
  readonly journal: Journal
  readonly transcript: Transcript
  readonly spending: Spending
  readonly comments: Comments
  readonly ending: Ending
}): Promise<Walls> {
  const { deps, task, lease } = o
  const { store, node, sandboxes, dataDir, egress, mirrors } = deps
  const mirror = mirrors.of(task.order)
  const session = await getSession(store.db, lease.sessionId)
  const environment = pinnedEnvironment(session?.environment)
  const slot = await leaseSlot(store.db, { id: lease.sessionId, node, slotsMax: sharedSlot - 1 })
  const packages = await holdPackages(deps, environment, o.ending.signal)
  const sandbox = await sandboxes.open({
    sessionId: lease.sessionId,
    directory: join(dataDir, 'sessions', lease.sessionId),
    slot,
    limits: limitsIn(environment, deps.config),
    env: { ...egress.env, ...gitHubVariables(deps, task.order), ...packages?.env },
    routes: secretRoutes(secretsFor(deps, { order: task.order, environment })),
    ...(packages && { shown: [packages.shown] }),
    gitRewrite: [{ from: `${parseRepoUrl(task.order.repoUrl).origin}/` }],
    committer: task.order.commit,
    shared: mirror === null ? [] : [mirror.repository],
  })
  const keyBudget = keyBudgetOf(deps, task, lease)
  let gateway: Gateway
  try {
    gateway = await openWayOut({ ...o, sandbox, keyBudget })
  } catch (error) {
    await sandbox[Symbol.asyncDispose]()
    packages?.release()
    throw error
  }
  return {
    sandbox,
    async [Symbol.asyncDispose]() {
      await sandbox[Symbol.asyncDispose]()
      packages?.release()
      const { metrics } = deps
      await noteUsage(await sandbox.usage(), { ...{ writer: o.writer, metrics }, type: task.type })
        // A lost log is somebody else's, and the walls close all the same.
        .catch(ignoreLost)
      await gateway[Symbol.asyncDispose]()
      // A request is charged to its session first, and to its key then.
      await o.spending.settled()
      await keyBudget?.settled()
      // A lost session is somebody else's, and so is what carries its label.
      if (!o.ending.lost.aborted) await dockerOf(deps, lease.sessionId)?.clean()
    },
  }
}

async function openWayOut(
  o: Parameters<typeof openWalls>[0] & {
    readonly sandbox: Sandbox
    readonly keyBudget: KeyBudget | null
  },
) {
  const { deps, task, lease, writer, transcript, spending, comments, ending } = o
  const { sandbox, keyBudget } = o
  const session = await getSession(deps.store.db, lease.sessionId)
  const agent = pinnedAgent(session?.agent, task.type)
  const environment = pinnedEnvironment(session?.environment)
  const gateway: Gateway = await openGateway({
    socketPath: sandbox.paths.gatewaySocket,
    ownerUid: sandbox.uid,
    policy: policyOf(deps, task, {
      profile: agent,
      servers: mcpServersFor(deps, { task, agent, environment }),
      environment,
    }),
    budget: {
      limitUsd: limitUsdOf(task) ?? null,
      spentUsd: session?.cost_usd ?? 0,
    },
    hooks: {
      beforeModelRequest: async (lastToolUses) => {
        const { clock } = deps
        // No finished turn runs twice if its successor goes only once the store has it.
        await transcript.waitFor(lastToolUses, { timeoutMs: transcriptMsMax, clock })
        // Nor is a turn begun before the log has the one before it, and the account what that cost.
        await writer.flush()
        await spending.stored()
      },
      beforeParking: (lastToolUses) =>
        transcript
          .waitFor(lastToolUses.map(resultOf), { timeoutMs: resultsMsMax, clock: deps.clock })
          .catch((error: unknown) => {
            deps.log.warn(
              { err: error, taskId: task.id },
              'a task is parked without its last results',
            )
          }),
      isHeld: () => o.hold.isHeld(),
      mayPush: pushGuard({
        deps,
        task,
        journal: o.journal,
        workspace: { sandbox, signal: ending.lost },
      }),
      mayComment: (number, signal) => comments.refusalOf(number, signal),
      onCommented: (comment) => {
        comments.made(comment).catch(ignoreLost)
      },
      onUsage: (used) => spending.add(used),
      onSilence: (message) => {
        const words = `${message} The agent asks again.`
        raise({ writer, metrics: deps.metrics }, taskAlert('model_silent', words))
      },
      onQuota: (reset, isDate) => {
        const now = deps.clock.now()
        if (reset - now < quotaWaitMsMin) return
        const { progress } = o.journal
        const waitMsMax = deps.config.quotaWaitMsMax
        ending.end(quotaCause({ ...lease, progress, reset, isDate, now, waitMsMax }))
      },
      onRefused: ({ why, message }) => {
        if (why === 'model_rejected')
          return ending.end({ kind: 'failed', reason: 'model_rejected', message })
        const isKeys = why === 'key_budget' && keyBudget !== null
        const parking = isKeys ? keyBudget.parking() : budgetSpent(task, gateway.spentUsd)
        ending.end({ kind: 'parked', parking })
      },
      onDenied: (denial) => {
        writer.write({ type: 'workspace.connection_denied', ...denial }).catch(ignoreLost)
      },
      ...auditedBy(deps.audit, lease.sessionId),
    },
    ...(keyBudget && {
      allow: (worstUsd: number, signal: AbortSignal) => keyBudget.admit(worstUsd, signal),
    }),
    breaker: deps.breaker,
    bodies: deps.bodies,
    answers: deps.answers,
    lookups: deps.lookups,
    prices: deps.prices,
    clock: deps.clock,
    log: deps.log,
    metrics: deps.metrics,
  })
  return gateway
}

/** What a task of which all money is spent waits for. */
function budgetSpent(task: TaskRow, spentUsd: number): Parking {
  const limitUsd = limitUsdOf(task) ?? 0
  const spent = `$${spentUsd.toFixed(2)} of $${limitUsd.toFixed(2)}`
  const { budgetRaiseToUsd: raiseToUsd, budgetDeadlineMinutes: minutes } = task.order
  // Once: from then on the limit is that, and to less than is spent nobody could raise it.
  const isRaised = raiseToUsd !== undefined && raiseToUsd > Math.max(limitUsd, spentUsd)
  return {
    reason: 'waiting_budget',
    message: `The budget is spent (${spent}). Raise it, or decline and keep the work done so far.`,
    question: {
      kind: 'budget',
      request: {
        ...{ limit_usd: limitUsd, spent_usd: spentUsd },
        ...(isRaised && { raise_to_usd: raiseToUsd }),
      },
      onDeadline: isRaised ? 'allow' : 'deny',
      ...(minutes !== undefined && { deadlineMinutes: minutes }),
    },
  }
}

/** The writer has told `onLost`; nobody else needs to hear it. */
function ignoreLost(): void {}
