import {
  type ApprovalKind,
  type ApprovalRequest,
  deadlineMinutesDefault,
  type OnDeadline,
  type RunningReason,
  type WebhookAbout,
} from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { appendEvents, type NewEvent } from '../events/append.ts'
import { newId } from '../ids.ts'
import type { Lease, WorkQueue } from '../queue/work-queue.ts'
import { insertApproval } from '../store/approvals.ts'
import { setSessionStatus } from '../store/sessions.ts'
import type { ApprovalRow, TaskRow, Trx } from '../store/tables.ts'
import { lockTask, updateTask } from '../store/tasks.ts'
import type { Progress } from './progress.ts'
import { moveTask } from './transition.ts'

/** Why a task gives up its process and its slot, and what lets it go on. */
export interface Parking {
  readonly reason: Extract<RunningReason, `waiting_${string}`>
  /** Replaces the sentence of the reason. */
  readonly message?: string
  /** The question whose answer, or deadline, lets it go on. */
  readonly question?: Question
  /** When it goes on by itself. */
  readonly until?: Date
  /** Whether that is a moment which somebody named, and no time to wait. */
  readonly isDate?: boolean
  /**
   * Whether what it waits for came while it was about to be parked: it looks at once then. Asked in the
   * transaction, before anything of the task is locked; what it reads may not change until the end.
   */
  readonly came?: (trx: Trx) => Promise<boolean>
  /** What of the task's progress changes with it. */
  readonly progress?: Partial<Progress>
}

/** What a human is asked. */
interface Question {
  readonly kind: ApprovalKind
  readonly request: ApprovalRequest
  /** The call that waits. */
  readonly toolUseId?: string
  /** Default: deny. */
  readonly onDeadline?: OnDeadline
  /** Default: 24 hours. */
  readonly deadlineMinutes?: number
}

/** The task was cancelled while it was about to be parked. */
export class Cancelled extends Error {}

interface Deps {
  readonly queue: WorkQueue
  readonly clock: Clock
}

/**
 * Parks a task: its work is over, its session idle, and its question stored, in one transaction of
 * the caller's; from then on nothing of it runs anywhere. `answerApproval` or `wakeDue` lets it go
 * on. Throws `LeaseLost` when the attempt no longer holds it, and `Cancelled` when the task is to end
 * instead.
 */
export async function parkTask(
  trx: Trx,
  { queue, clock }: Deps,
  o: {
    readonly lease: Lease
    readonly taskId: string
    readonly progress: Progress
    readonly parking: Parking
  },
): Promise<void> {
  const { lease, taskId, progress, parking } = o
  const { reason, message, question, until = null, isDate = false, came } = parking
  const isHere = (await came?.(trx)) ?? false
  await queue.complete(trx, lease)
  const task = await lockTask(trx, taskId)
  if (task?.cancel_requested_at) throw new Cancelled()
  const now = new Date(clock.now())
  const asked = question && (await ask(trx, { ...o, question, clock }))
  await moveTask(
    trx,
    {
      taskId,
      to: { status: 'running', reason },
      attempt: lease.attempt,
      ...(message === undefined ? {} : { message }),
      progress,
      about: waitingFor(asked, until),
      clock,
    },
    parkedEvents(parking, asked),
  )
  const wakeAt = isHere ? now : until
  await updateTask(trx, taskId, { parkedAt: now, wakeAt, wakeIsDate: isDate })
  await setSessionStatus(trx, { id: lease.sessionId, status: 'idle', now })
}

function ask(
  trx: Trx,
  o: {
    readonly lease: Lease
    readonly taskId: string
    readonly question: Question
    readonly clock: Clock
  },
): Promise<ApprovalRow> {
  const { kind, request, toolUseId = null, onDeadline = 'deny' } = o.question
  const minutes = o.question.deadlineMinutes ?? deadlineMinutesDefault
  const now = o.clock.now()
  return insertApproval(trx, {
    id: newId('appr', o.clock),
    taskId: o.taskId,
    sessionId: o.lease.sessionId,
    ...{ kind, request, toolUseId, onDeadline },
    deadlineAt: new Date(now + minutes * 60_000),
    now: new Date(now),
  })
}

/** What a webhook says of a wait: whom it waits for, or until when. */
function waitingFor(asked: ApprovalRow | undefined, until: Date | null): WebhookAbout {
  return {
    approval: asked
      ? {
          id: asked.id,
          kind: asked.kind,
          request: asked.request,
          on_deadline: asked.on_deadline,
          deadline_at: asked.deadline_at.toISOString(),
        }
      : null,
    until: until?.toISOString() ?? null,
  }
}

/** In the words of the Managed Agents API: idle, since something is required of somebody. */
function parkedEvents({ reason, until }: Parking, asked: ApprovalRow | undefined): NewEvent[] {
  const stopReason =
    asked === undefined
      ? { type: reason === 'waiting_budget' ? 'budget_reached' : 'retries_exhausted' }
      : {
          type: asked.kind === 'budget' ? 'budget_reached' : 'requires_action',
          event_ids: [],
          ...(asked.tool_use_id === null ? {} : { tool_use_ids: [asked.tool_use_id] }),
        }
  const requested: NewEvent[] =
    asked === undefined
      ? []
      : [
          {
            type: 'task.approval_requested',
            approval_id: asked.id,
            kind: asked.kind,
            request: asked.request,
            on_deadline: asked.on_deadline,
            deadline_at: asked.deadline_at.toISOString(),
          },
        ]
  return [
    ...requested,
    {
      type: 'session.status_idle',
      stop_reason: stopReason,
      stop_details: null,
      ...(until === undefined ? {} : { until: until.toISOString() }),
    },
  ]
}

/** What a task is told to go on with. */
interface Resumption {
  readonly task: TaskRow
  /** Why it goes on, for the log. */
  readonly events: readonly NewEvent[]
  /** One sentence. */
  readonly message?: string
  readonly progress?: Progress
}

/**
 * Lets a parked task go on with the caller's transaction, which holds the task's lock: it waits for
 * a slot at its own priority, and the time that it was parked does not count as its own.
 */
export async function resumeTask(trx: Trx, { queue, clock }: Deps, o: Resumption): Promise<void> {
  const { task, events, message = 'It goes on as soon as a slot is free.', progress } = o
  if (task.parked_at === null) throw new Error(`${task.id} is not parked`)
  const now = clock.now()
  // After the task, which is locked: a parked task has no work that somebody else could lock.
  await queue.enqueue(trx, { sessionId: task.session_id, priority: task.priority })
  await appendEvents(trx, { sessionId: task.session_id, events, clock })
  await moveTask(
    trx,
    {
      taskId: task.id,
      to: { status: 'running', reason: 'preparing' },
      message,
      ...(progress === undefined ? {} : { progress }),
      clock,
    },
    [{ type: 'session.status_rescheduled', message }],
  )
  await updateTask(trx, task.id, {
    parkedAt: null,
    wakeAt: null,
    // Less than nothing when the date was set back meanwhile, and its time limit goes by the date.
    parkedMs: Number(task.parked_ms) + now - task.parked_at.getTime(),
  })
  const at = new Date(now)
  await setSessionStatus(trx, { id: task.session_id, status: 'rescheduling', now: at })
}
