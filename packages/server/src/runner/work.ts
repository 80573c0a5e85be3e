import type { CheckResult } from '@longhaul/client/contract'
import { putArtifact } from '../store/artifacts.ts'
import { presets } from '../tasks/presets.ts'
import type { Changes } from '../workspace/changes.ts'
import { GitFailed } from '../workspace/git.ts'
import { renewChecksHome } from '../workspace/home.ts'
import { runBounded } from './command.ts'
import { commitWork } from './commit.ts'
import { Conversation } from './conversation.ts'
import { isSpokenTo } from './inbox.ts'
import type { LimitHit } from './limit-notes.ts'
import { type Attempt, failed, failedWithin, isUnchanged, mayGoOn, type PhaseEnd } from './phase.ts'
import { refusalOf } from './push-guard.ts'

/** Times that failed checks go back to the agent. */
const roundsMax = 3
/** Characters of the agent's last message that become the summary. */
const summaryCharsMax = 32_000

/**
 * The agent works, the server checks, and what failed goes back into the same conversation, as does
 * what people said meanwhile: until the checks pass, or the rounds are used up, and no message waits.
 */
export async function work(attempt: Attempt): Promise<PhaseEnd> {
  const { journal } = attempt
  await using conversation = new Conversation(attempt)
  for (;;) {
    if (journal.progress.next === 'agent') {
      const failure = await converse(attempt, conversation)
      if (failure !== null) return failure
    }
    if (journal.progress.next !== 'checks') return null
    const end = await check(attempt)
    if (mayGoOn(end) && (await isSpokenTo(attempt))) await journal.write({ next: 'agent' })
    else if (end !== null) return end
  }
}

async function converse(
  { journal, checkpoints }: Attempt,
  conversation: Conversation,
): Promise<PhaseEnd> {
  await journal.enter('agent')
  const end = await conversation.work()
  if (end.kind === 'failed') return failed(end.reason, end.message)
  await checkpoints.settle()
  await conversation.rest()
  const summary = end.text === '' ? journal.progress.summary : end.text
  await journal.write({
    ...{ next: 'checks', quota: null, summary: summary.slice(0, summaryCharsMax) },
    // It has heard of it.
    rebuild: undefined,
  })
  return null
}

async function check(attempt: Attempt): Promise<PhaseEnd> {
  const { task, journal, branch } = attempt
  const { checks, rounds } = journal.progress
  const preset = presets[task.type]
  if (!preset.publishes) {
    await journal.write({ next: 'publish' })
    return null
  }
  const changes = await commit(attempt)
  if ('state' in changes) return changes
  // The commit, too, is found by who goes on elsewhere.
  attempt.checkpoints.due()
  await attempt.checkpoints.settle()
  const { tip, commits } = changes
  const unchanged = isUnchanged({ ...journal.progress, tip, commits }, branch)
  const objection = unchanged ? null : await refusalOf(attempt, tip)
  if (objection !== null) return object(attempt, { tip, objection })
  if (checks.length === 0 || (unchanged && !preset.checksUnchanged)) {
    await journal.write({ next: 'commands', tip, checkResults: [], objection: null })
    return null
  }
  await journal.enter('checking')
  const { results, hit } = await runChecks(attempt, checks)
  const passed = results.every(({ outcome }) => outcome === 'passed')
  const round = rounds + 1
  const spent = !passed && round > roundsMax
  await journal.write(
    {
      next: passed ? 'commands' : 'agent',
      tip,
      rounds: round,
      checkResults: results,
      objection: null,
    },
    [{ type: 'task.checks_finished', round, outcome: passed ? 'passed' : 'failed', results }],
  )
  if (!spent) return null
  const message = `The checks still fail after ${roundsMax} rounds of mending.`
  return failedWithin(hit, 'checks_failed', message)
}

/** A round that failed before its checks: what was done may not be pushed, whatever they say. */
async function object(
  { journal }: Attempt,
  o: { readonly tip: string; readonly objection: string },
): Promise<PhaseEnd> {
  const { objection } = o
  const round = journal.progress.rounds + 1
  await journal.write({ ...o, next: 'agent', rounds: round, checkResults: [] }, [
    { type: 'task.push_refused', round, message: objection },
  ])
  return round > roundsMax ? failed('push_rejected', objection) : null
}

/** What git refuses is no failure of the infrastructure: the same again would end the same. */
async function commit(attempt: Attempt): Promise<Changes | NonNullable<PhaseEnd>> {
  try {
    return await commitWork(attempt)
  } catch (error) {
    if (!(error instanceof GitFailed) || !error.isFinal) throw error
    const isFull = /No space left on device|Disk quota exceeded/.test(error.message)
    const message = `The work could not be committed: ${error.message}`
    return failed(isFull ? 'disk_full' : 'agent_error', message)
  }
}

/** All of them, in order, and the first limit that one of them failed of. */
async function runChecks(
  attempt: Attempt,
  checks: readonly string[],
): Promise<{ readonly results: CheckResult[]; readonly hit: LimitHit | null }> {
  const { task, workspace, journal, deps, lease } = attempt
  const results: CheckResult[] = []
  let hit: LimitHit | null = null
  const logs: string[] = []
  await renewChecksHome(workspace)
  for (const command of checks) {
    const end = await runBounded(attempt, command, { home: 'checks' })
    workspace.signal.throwIfAborted()
    hit ??= end.hit
    results.push(end.result)
    logs.push(`$ ${command}\n${end.output}`)
  }
  await putArtifact(deps.store.db, {
    sessionId: lease.sessionId,
    attempt: lease.attempt,
    name: `checks-${journal.progress.rounds + 1}.log`,
    contentType: 'text/plain; charset=utf-8',
    data: Buffer.from(logs.join('\n')),
    createdBy: task.created_by,
    now: new Date(deps.clock.now()),
  })
  return { results, hit }
}
