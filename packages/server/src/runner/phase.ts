import type { FailedReason } from '@longhaul/client/contract'
import type { Transcript } from '../agent/transcript.ts'
import type { EventWriter } from '../events/writer.ts'
import type { Lease } from '../queue/work-queue.ts'
import type { TaskRow } from '../store/tables.ts'
import type { TaskEnd } from '../tasks/end.ts'
import type { Parking } from '../tasks/park.ts'
import type { Progress } from '../tasks/progress.ts'
import type { Workspace } from '../workspace/git.ts'
import type { Guidance } from '../workspace/guidance.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Comments } from './comments.ts'
import type { RunnerDeps } from './deps.ts'
import type { Hold } from './hold.ts'
import type { Journal } from './journal.ts'
import type { LimitHit, LimitNotes } from './limit-notes.ts'

/**
 * One attempt at a task, as its phases see it: the task, the lease that fences it, the workspace
 * with its walls, and the journal into which every finished phase is written.
 */
export interface Attempt {
  readonly deps: RunnerDeps
  readonly task: TaskRow
  readonly lease: Lease
  /** Asked before anything is done outside of the sandbox. */
  readonly hold: Hold
  /** The branch that the work is pushed to. */
  readonly branch: string
  readonly workspace: Workspace
  readonly guidance: Guidance
  readonly writer: EventWriter
  readonly transcript: Transcript
  readonly journal: Journal
  readonly limitNotes: LimitNotes
  readonly comments: Comments
  readonly checkpoints: Checkpoints
  /** When the task has timed out, as `Clock.elapsed` counts. */
  readonly deadline: number
  /** Stops the attempt, to go on when what the task waits for has come. */
  readonly park: (parking: Parking) => void
  /** Stops it because the provider has no quota left. */
  readonly awaitQuota: () => void
}

/** How a phase ended the task; null: it did not, and the next phase goes on. */
export type PhaseEnd = Pick<TaskEnd, 'state' | 'message'> | null

/** The end of a task that is done, with a sentence of its own if the reason's does not do. */
export function done(message?: string): NonNullable<PhaseEnd> {
  return ended({ status: 'completed', reason: 'done' }, message)
}

/** The end of a task that failed, with a sentence of its own if the reason's does not do. */
export function failed(reason: FailedReason, message?: string): NonNullable<PhaseEnd> {
  return ended({ status: 'failed', reason }, message)
}

/** The same, but for the limit of its sandbox that was hit meanwhile, if one was. */
export function failedWithin(
  hit: LimitHit | null,
  reason: FailedReason,
  message: string,
): NonNullable<PhaseEnd> {
  return hit === null ? failed(reason, message) : failed(hit.reason, `${message} ${hit.message}`)
}

function ended(state: TaskEnd['state'], message: string | undefined): NonNullable<PhaseEnd> {
  return { state, ...(message !== undefined && { message: message.slice(0, messageCharsMax) }) }
}

/** Whether the agent could still work on what people say, instead of this end. */
export function mayGoOn(end: PhaseEnd): boolean {
  if (end === null || end.state.status === 'completed') return true
  return resumable.includes(end.state.reason)
}

const resumable: readonly string[] = [
  'checks_failed',
  'push_rejected',
  'pull_request_rejected',
  'out_of_memory',
  'too_many_processes',
]

/** Characters of the sentence that an ended task carries. */
const messageCharsMax = 2000

/** Whether the work is what it was when this task, or its follow-up, began. */
export function isUnchanged(
  {
    commits,
    tip,
    earlier,
  }: Pick<Progress, 'tip' | 'earlier'> & { readonly commits: readonly object[] },
  branch: string,
): boolean {
  const isPublished = earlier?.start === 'branch' && earlier.branch === branch
  return commits.length === 0 || (isPublished && earlier.commit === tip)
}

/** Whether the workspace is the agent's; before that there is only what the server made. */
export function hasAgentBegun({ next }: Pick<Progress, 'next'>): boolean {
  return next !== 'clone' && next !== 'setup'
}

/** Milliseconds that the task may still take. */
export function timeLeft({ deadline, deps }: Attempt): number {
  return Math.max(1, deadline - deps.clock.elapsed())
}
