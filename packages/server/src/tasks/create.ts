import type { TaskOrder } from '@longhaul/client/contract'
import { parseRepoUrl, reasons } from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import { appendEvents } from '../events/append.ts'
import { newId, uuidOf } from '../ids.ts'
import type { WorkQueue } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import { insertSession } from '../store/sessions.ts'
import type { TaskRow } from '../store/tables.ts'
import { insertTask, updateTask } from '../store/tasks.ts'

export interface Ordering {
  readonly store: Store
  readonly queue: WorkQueue
  readonly clock: Clock
  /** Origins besides https ones that an order may name: the operator's GITHUB_URL. */
  readonly trustedOrigins: readonly string[]
  readonly allowPrivate: readonly HostPort[]
  readonly callbackAllow: readonly HostPort[]
}

/** An order that is well-formed but not taken on this server; it names the field and says why. */
export class OrderRefused extends Error {
  readonly field: 'repoUrl' | 'callbackUrl' | 'commands'
  constructor(field: OrderRefused['field'], message: string) {
    super(message)
    this.field = field
  }
}

/**
 * Makes a pending task and its session, with the first events and the work, in one transaction:
 * either all of it is there when this resolves, or nothing is.
 */
export async function createTask(
  { store, queue, clock, ...rules }: Ordering,
  order: TaskOrder,
  caller: Caller,
): Promise<TaskRow> {
  refuse(order, rules)
  const id = newId('task', clock)
  const sessionId = newId('sesn', clock)
  const now = new Date(clock.now())
  const made = { createdBy: caller.keyId, now }
  return store.db.transaction().execute(async (trx) => {
    await insertSession(trx, {
      id: sessionId,
      conversationId: uuidOf(sessionId),
      agent: { preset: order.type },
      environment: {},
      ...made,
    })
    await insertTask(trx, {
      id,
      sessionId,
      type: order.type,
      priority: order.priority,
      status: 'pending',
      reason: 'queued',
      order,
      ...made,
    })
    await appendEvents(trx, {
      sessionId,
      events: [
        { type: 'task.created', task_id: id, task_type: order.type, priority: order.priority },
        { type: 'user.message', content: [{ type: 'text', text: order.instructions }] },
      ],
      clock,
    })
    await queue.enqueue(trx, { sessionId, priority: order.priority })
    return updateTask(trx, id, { message: reasons.queued.sentence })
  })
}

function refuse(
  order: TaskOrder,
  rules: Pick<Ordering, 'trustedOrigins' | 'allowPrivate' | 'callbackAllow'>,
): void {
  const repository = new URL(parseRepoUrl(order.repoUrl).url)
  const known =
    rules.trustedOrigins.includes(repository.origin) || listed(rules.allowPrivate, repository)
  if (repository.protocol !== 'https:' && !known) {
    throw new OrderRefused(
      'repoUrl',
      `expected an https URL, got ${repository.origin}; the operator can list its host:port in GATEWAY_ALLOW_PRIVATE`,
    )
  }
  if (order.callbackUrl !== undefined) {
    const callback = new URL(order.callbackUrl)
    if (callback.protocol !== 'https:' && !listed(rules.callbackAllow, callback)) {
      throw new OrderRefused(
        'callbackUrl',
        `expected an https URL, got ${callback.origin}; the operator can list its host:port in CALLBACK_ALLOW`,
      )
    }
  }
  if ((order.commands ?? []).length > 0 && order.type !== 'deploy') {
    throw new OrderRefused('commands', `only a task of type deploy runs them, got ${order.type}`)
  }
}

function listed(list: readonly HostPort[], url: URL): boolean {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return list.some((entry) => entry.host === host && entry.port === port)
}
