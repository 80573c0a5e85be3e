import {
  type EnvironmentLimits,
  type GivenOrder,
  reasons,
  type TaskOrder,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { appendEvents } from '../events/append.ts'
import { newId, uuidOf } from '../ids.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import { agentForTask } from '../sessions/agents.ts'
import { environmentForTask } from '../sessions/environment-for-task.ts'
import { insertSession } from '../store/sessions.ts'
import type { TaskRow, Trx } from '../store/tables.ts'
import { insertTask, updateTask } from '../store/tasks.ts'
import { resolveOrder } from './repositories.ts'

interface CreateDeps {
  readonly queue: WorkQueue
  readonly clock: Clock
  /** What a sandbox may take where its environment does not say. */
  readonly limits: Readonly<Record<keyof EnvironmentLimits, number>>
}

/**
 * Makes a pending task and its session, with the first events and the work, in the caller's
 * transaction: either all of it is there when that ends, or nothing is. The order was read with
 * this server's `orderPolicy`; what it leaves open is filled here.
 */
export async function createTask(
  trx: Trx,
  { queue, clock, limits }: CreateDeps,
  given: GivenOrder,
  caller: Caller,
  /** `retryOf`: the ended task that this one repeats. */
  { retryOf }: { readonly retryOf?: string } = {},
): Promise<TaskRow> {
  const id = newId('task', clock)
  const sessionId = newId('sesn', clock)
  const now = new Date(clock.now())
  const made = { createdBy: caller.keyId, now }
  const agent = await agentForTask(trx, given)
  const pin = { id: agent.id, version: agent.version }
  const { environment: named, ...rest } = given
  const filled = await resolveOrder(trx, { ...rest, agent: pin })
  const environment = await environmentForTask(trx, {
    given: named,
    overrides: given.sandbox,
    ofRepository: filled.ofRepository,
    caller,
    defaults: limits,
  })
  const order: TaskOrder = {
    ...filled.order,
    environment: environment.pin,
    ...(named && { environmentGiven: true }),
  }
  const isDelayed = order.startAt !== undefined && order.startAt > now.getTime()
  const reason = isDelayed ? 'delayed' : 'queued'
  await insertSession(trx, {
    id: sessionId,
    conversationId: uuidOf(sessionId),
    agent: { ...pin, ...agent.content },
    environment: { ...environment.pin, ...environment.content },
    ...made,
  })
  await insertTask(trx, {
    id,
    sessionId,
    type: order.type,
    priority: order.priority,
    status: 'pending',
    reason,
    order,
    retryOf: retryOf ?? null,
    ...made,
  })
  await appendEvents(trx, {
    sessionId,
    events: [
      {
        type: 'task.created',
        task_id: id,
        task_type: order.type,
        priority: order.priority,
        agent: { type: 'agent', ...pin },
        environment: { type: 'environment', ...environment.pin },
        ...(retryOf && { retry_of: retryOf }),
      },
      { type: 'user.message', content: [{ type: 'text', text: order.instructions }] },
    ],
    clock,
  })
  await queue.enqueue(trx, {
    sessionId,
    priority: order.priority,
    ...(isDelayed && { startAfter: new Date(order.startAt) }),
  })
  return updateTask(trx, id, { message: reasons[reason].sentence })
}
