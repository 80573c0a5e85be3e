import { reasons } from '@longhaul/client/contract'
import { loadAhead } from '../agent/open.ts'
import { Transcript } from '../agent/transcript.ts'
import { EventWriter } from '../events/writer.ts'
import type { Lease } from '../queue/work-queue.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import type { TaskRow } from '../store/tables.ts'
import { getTaskBySession } from '../store/tasks.ts'
import { branchOf } from '../tasks/naming.ts'
import { type Progress, progressOf } from '../tasks/progress.ts'
import { Guidance } from '../workspace/guidance.ts'
import { Checkpoints } from './checkpoints.ts'
import { commentsOf } from './comments.ts'
import { runDeployCommands } from './deploy.ts'
import type { RunnerDeps } from './deps.ts'
import type { Ending } from './ending.ts'
import { Hold } from './hold.ts'
import { isSpokenTo } from './inbox.ts'
import { Journal } from './journal.ts'
import { keepWork, leaveWork } from './keep.ts'
import { keepTime } from './keep-time.ts'
import { LimitNotes } from './limit-notes.ts'
import { PackagesFailed } from './packages.ts'
import { type Attempt, failed, failedWithin, mayGoOn, type PhaseEnd } from './phase.ts'
import { prepare } from './prepare.ts'
import { publish } from './publish.ts'
import { quotaCause } from './quota.ts'
import { endTaskOf, handBack, park } from './settle.ts'
import { Spending } from './spending.ts'
import { strike } from './strikes.ts'
import { openWalls } from './walls.ts'
import { watch } from './watch.ts'
import { work } from './work.ts'

/**
 * Attempts in a row that may die without finishing a phase or a turn (see `strike`). It bounds a task that takes its server
 * down with it each time; attempts that a stopping server handed back do not count.
 */
const strikesMax = 5
/** Waits before an attempt after one that failed for reasons outside the task; the last repeats. */
const backoffMs = [5000, 20_000, 60_000] as const
/** A checkpoint at the end of an attempt may take this long: a server that stops is waited for. */
const leaveMsMax = 10_000

/**
 * One attempt at the task whose work is leased, top to bottom: walls, clone, agent, checks, push,
 * pull request, end. It resolves when nothing of it runs any more and the task is ended, or its work
 * is back in the queue, or the lease was lost and is somebody else's.
 */
export async function runAttempt(deps: RunnerDeps, lease: Lease, ending: Ending): Promise<void> {
  const { store, queue, clock } = deps
  const task = await getTaskBySession(store.db, lease.sessionId)
  if (task === undefined || task.status === 'completed' || task.status === 'failed') {
    await store.db.transaction().execute((trx) => queue.complete(trx, lease))
    return
  }
  const over = new AbortController()
  const stepped = (stepMs: number) => keepTime(deps, { lease, taskId: task.id, stepMs })
  const watching = watch({ ...deps, lease, taskId: task.id, ending, stepped }, over.signal)
  const startedMs = task.started_at?.getTime() ?? clock.now()
  const limitMs = task.order.timeLimitMinutes * 60_000 + Number(task.parked_ms)
  // From here on by a clock that nobody sets: time that did not pass is not taken from the task.
  const leftMs = Math.max(0, startedMs + limitMs - clock.now())
  const deadline = clock.elapsed() + leftMs
  using _timer = clock.after(leftMs, () => ending.end({ kind: 'failed', reason: 'timed_out' }))
  try {
    await settle({ deps, task, lease, ending, deadline })
  } finally {
    over.abort()
    await watching
  }
}

interface Run {
  readonly deps: RunnerDeps
  readonly task: TaskRow
  readonly lease: Lease
  readonly ending: Ending
  readonly deadline: number
}

/** Turns whatever comes of the phases into one of the three ends of an attempt. */
async function settle(run: Run): Promise<void> {
  const { deps, task, lease, ending } = run
  const onLost = (): void => ending.end({ kind: 'lost' })
  await using writer = new EventWriter({ ...deps, ...lease, onLost })
  const progress = progressOf(task.progress)
  const journal = new Journal({ ...deps, writer, lease, taskId: task.id, progress })
  try {
    await journal.write(await strike(deps.store, { lease, progress }))
    const end = await perform(run, { writer, journal }).finally(() => journal.leave())
    // What the agent said comes before the end in the log.
    await writer.flush()
    if (await endTaskOf(deps, { task, lease, progress: journal.progress, end })) return
    // Somebody spoke to it at the last moment; its walls are closed, so the next attempt goes on.
    const { kept: _, ...done } = journal.progress
    const why = 'A message came while the task ended; its agent reads it now.'
    const goesOn: Progress = { ...done, next: 'agent', strikes: 0 }
    await handBack(deps, { task, lease, progress: goesOn, delayMs: 0, why })
  } catch (error) {
    if (ending.lost.aborted || error instanceof LeaseLost) return
    await writer.flush()
    const { cause } = ending
    if (cause?.kind === 'parked') {
      const { parking } = cause
      const progress = { ...forgiven(journal.progress), ...parking.progress }
      await park(deps, { task, lease, progress, parking })
    } else await handBack(deps, { task, lease, ...goOn(error, run, journal.progress) })
  }
}

/** An attempt that was stopped in good order is no strike. */
function forgiven(progress: Progress): Progress {
  return { ...progress, strikes: Math.max(0, progress.strikes - 1) }
}

/** What becomes of work that neither ended nor is somebody else's. */
function goOn(error: unknown, { deps, task, lease, ending }: Run, progress: Progress) {
  const { strikes } = progress
  if (ending.cause?.kind === 'drained') {
    const why = 'The server stops; the work goes on when it is back.'
    return { progress: forgiven(progress), delayMs: 0, why }
  }
  deps.log.error({ err: error, taskId: task.id, attempt: lease.attempt }, 'the attempt failed')
  const why = `The attempt failed: ${error instanceof Error ? error.message : String(error)}`
  const delayMs = backoffMs[Math.min(strikes, backoffMs.length) - 1] ?? 0
  return { progress, delayMs, why: why.slice(0, 2000) }
}

/**
 * The phases, within walls that are closed, and empty, when this resolves. How a task fails is
 * written down before its work is kept: after a crash only the keeping is left to do.
 */
async function perform(
  run: Run,
  { writer, journal }: { readonly writer: EventWriter; readonly journal: Journal },
): Promise<NonNullable<PhaseEnd>> {
  const { deps, task, lease, ending, deadline } = run
  const { progress } = journal
  const decided = progress.ending && failed(progress.ending.reason, progress.ending.message)
  // The attempt before this one was the last, and could not even open its walls to keep the work.
  if (progress.strikes > strikesMax + 1) {
    const left = await leaveWork({ deps, lease, journal })
    return withKept(decided ?? failed('attempts_exhausted'), left)
  }
  await using spending = new Spending({ ...deps, ...lease })
  const transcript = new Transcript({ ...deps, ...lease, signal: ending.lost })
  const branch = branchOf(task.order, task.id)
  const comments = commentsOf({ deps, task, writer, branch })
  const hold = new Hold({ ...deps, lease, ending })
  const opened = await openWalls({
    ...run,
    hold,
    writer,
    journal,
    transcript,
    spending,
    comments,
  }).catch((error: unknown) => {
    // The same again would end the same.
    if (error instanceof PackagesFailed) return failed('setup_failed', error.message)
    throw error
  })
  if ('state' in opened) return opened
  await using walls = opened
  const workspace = { sandbox: walls.sandbox, signal: ending.signal }
  const attempt: Attempt = {
    ...{ deps, task, lease, hold, branch, writer, transcript, journal, comments, deadline },
    checkpoints: new Checkpoints({ ...run, writer, journal, branch, workspace, lost: ending.lost }),
    workspace,
    guidance: new Guidance(workspace),
    limitNotes: new LimitNotes({ sandbox: walls.sandbox, writer, metrics: deps.metrics }),
    park: (parking) => ending.end({ kind: 'parked', parking }),
    awaitQuota: () => {
      const { progress } = journal
      const waitMsMax = deps.config.quotaWaitMsMax
      const now = deps.clock.now()
      ending.end(quotaCause({ ...lease, progress, reset: null, now, waitMsMax }))
    },
  }
  const end =
    decided ??
    stated(
      await phases(attempt, ending).catch((error: unknown) => caused(error, attempt, ending)),
      ending,
    )
  await walls.sandbox.killAll()
  await spending.settled()
  const { status, reason } = end.state
  if (status === 'failed' && decided === undefined) {
    const { message } = end
    await journal.write({ ending: { reason, message } }, [{ type: 'task.ending', reason, message }])
  }
  return withKept(end, await keepWork(attempt, { end: status, stop: ending.lost }))
}

/** Who goes on with it may be on another node: it finds what was done up to here. */
async function leaveCheckpoint({ checkpoints }: Attempt, { cause }: Ending): Promise<void> {
  if (cause?.kind === 'parked' || cause?.kind === 'drained') {
    checkpoints.due()
    await checkpoints.settle(leaveMsMax)
  }
  await checkpoints.stop()
}

async function phases(attempt: Attempt, ending: Ending): Promise<NonNullable<PhaseEnd>> {
  try {
    return await goThrough(attempt)
  } finally {
    await leaveCheckpoint(attempt, ending)
  }
}

async function goThrough(attempt: Attempt): Promise<NonNullable<PhaseEnd>> {
  if (attempt.deps.config.model.headers === null) return failed('model_not_configured')
  loadAhead()
  if (attempt.journal.progress.strikes > strikesMax) return failed('attempts_exhausted')
  for (;;) {
    const end =
      (await prepare(attempt)) ??
      (await work(attempt)) ??
      (await runDeployCommands(attempt)) ??
      (await publish(attempt))
    if (end !== 'spoken_to' && !(mayGoOn(end) && (await isSpokenTo(attempt)))) return end
    await attempt.journal.write({ next: 'agent' })
  }
}

/** The end, saying where the work is. */
function withKept(end: NonNullable<PhaseEnd>, kept: string | null): NonNullable<PhaseEnd> {
  if (kept === null) return end
  return { ...end, message: `${end.message ?? reasons[end.state.reason].sentence} ${kept}` }
}

/**
 * An error after the attempt was told to stop is the stop: the first cause is the reason. One that
 * came with a limit is the limit's: the same again would end the same.
 */
function caused(error: unknown, attempt: Attempt, { cause }: Ending): NonNullable<PhaseEnd> {
  if (cause?.kind === 'failed') return failed(cause.reason, cause.message)
  const hit = cause === null ? attempt.limitNotes.look() : null
  if (hit === null) throw error
  const said = error instanceof Error ? error.message : String(error)
  return failedWithin(hit, 'agent_error', `${said}.`)
}

/** A failure that the stop brought about (an agent that died of it) is the stop's, too. */
function stated(end: NonNullable<PhaseEnd>, ending: Ending): NonNullable<PhaseEnd> {
  if (end.state.status === 'completed' || ending.cause === null) return end
  if (ending.cause.kind !== 'failed')
    throw new Error(`the attempt was stopped: ${ending.cause.kind}`)
  return failed(ending.cause.reason, ending.cause.message)
}
