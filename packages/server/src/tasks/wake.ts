import type { ApprovalAnswer } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import { decideApproval, getApproval, overdueApprovals } from '../store/approvals.ts'
import type { Store } from '../store/open.ts'
import type { ApprovalRow } from '../store/tables.ts'
import { listWakeable, lockTask } from '../store/tasks.ts'
import { answeredEvents, progressAfter } from './answer.ts'
import { eachDue } from './each-due.ts'
import { resumeTask } from './park.ts'

/** Parked tasks that go on at once; the rest follows a second later. */
const dueMax = 100

interface Deps {
  readonly store: Store
  readonly queue: WorkQueue
  readonly clock: Clock
}

/**
 * Lets every parked task go on whose time has come: the deadline of its question, which then chooses,
 * or the moment until which it waits. Any number of nodes may do so at once.
 */
export async function wakeDue(deps: Deps & { readonly log: Log }): Promise<void> {
  const { store, clock, log } = deps
  const now = new Date(clock.now())
  const overdue = await overdueApprovals(store.db, { now, limit: dueMax })
  await eachDue(overdue, (id) => expire(deps, id), { clock, log, what: 'a question' })
  const wakeable = await listWakeable(store.db, { now, limit: dueMax })
  await eachDue(wakeable, ({ id }) => wake(deps, id), { clock, log, what: 'a parked task' })
}

function expire({ store, queue, clock }: Deps, id: string): Promise<void> {
  return store.db.transaction().execute(async (trx) => {
    const approval = await getApproval(trx, id)
    const task = approval && (await lockTask(trx, approval.task_id))
    if (task === undefined || approval === undefined) return
    const now = new Date(clock.now())
    const answer = chosen(approval)
    const row = { id, status: 'expired', answer, answeredBy: null, now } as const
    const decided = await decideApproval(trx, row)
    // Somebody answered while this one waited for the task.
    if (decided === undefined) return
    const events = answeredEvents(decided)
    const progress = progressAfter(task, { kind: approval.kind, answer })
    const message = 'Nobody answered before the deadline, which decided.'
    await resumeTask(trx, { queue, clock }, { task, events, message, progress })
  })
}

/** The answer that the deadline stands for; null: the task fails. */
function chosen({ on_deadline: choice, request }: ApprovalRow): ApprovalAnswer | null {
  const raiseToUsd = 'spent_usd' in request ? request.raise_to_usd : undefined
  if (raiseToUsd !== undefined) return { decision: 'raise', limit_usd: raiseToUsd }
  if (choice === 'allow') return { decision: 'allow' }
  return choice === 'deny' ? { decision: 'deny', message: nobodyAnswered } : null
}

const nobodyAnswered =
  'Nobody answered before the deadline. Go on without it if you can, and say in your summary what is open.'

function wake({ store, queue, clock }: Deps, id: string): Promise<void> {
  return store.db.transaction().execute(async (trx) => {
    const task = await lockTask(trx, id)
    if (task?.wake_at == null || task.wake_at.getTime() > clock.now()) return
    const message = 'What it waited for has come; it goes on as soon as a slot is free.'
    await resumeTask(trx, { queue, clock }, { task, events: [], message })
  })
}
