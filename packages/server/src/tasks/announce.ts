import type { TaskWebhook, TaskWebhookBody, WebhookAbout } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import { derivedId } from '../ids.ts'
import { dropProgress, insertDelivery } from '../store/deliveries.ts'
import { endpointsFor } from '../store/endpoints.ts'
import type { Db, EndpointRow, TaskRow } from '../store/tables.ts'

/** Bytes of a webhook's body; what is larger says only what a thin one says. */
const bodyBytesMax = 256 * 1024

/** What happened to a task, as others are told. */
export interface Announcement {
  readonly event: TaskWebhook
  /** As it is now. */
  readonly task: TaskRow
  /** Number of the event in its session's log: a reader goes on from there. */
  readonly seq: number
  /** What else a full webhook says in `data`. */
  readonly about?: WebhookAbout | undefined
  readonly clock: Clock
}

/**
 * Writes what is to be told of an event of a task in the transaction that makes it happen, after the
 * event itself: the callback of its order, and a delivery to each endpoint of its key that wants the
 * event. The caller holds the task's lock, which keeps their order.
 */
export async function announce(trx: Db, o: Announcement): Promise<void> {
  const { event, task } = o
  const isEnd = event === 'task.completed' || event === 'task.failed'
  if (isEnd && task.order.callbackUrl !== undefined) await call(trx, o, task.order.callbackUrl)
  if (task.created_by === null) return
  const about = { sessionId: task.session_id, keyId: task.created_by, event }
  for (const endpoint of await endpointsFor(trx, about)) await tell(trx, o, endpoint)
}

/**
 * The one callback of an end. Its id is the task's, and the number of an end that is not the first,
 * so that a receiver that sees it twice can tell (Standard Webhooks: `webhook-id` identifies the
 * message, not the try).
 */
async function call(trx: Db, o: Announcement, url: string): Promise<void> {
  const { task } = o
  const again = task.reopened === 0 ? '' : `_${task.reopened + 1}`
  const now = new Date(o.clock.now())
  await insertDelivery(trx, {
    ...about(o, now),
    id: `dlv_${task.id.slice('task_'.length)}${again}`,
    url,
    body: bodyOf(o, 'full'),
    nextTryAt: now,
  })
}

async function tell(trx: Db, o: Announcement, endpoint: EndpointRow): Promise<void> {
  const { event, task, seq } = o
  const now = new Date(o.clock.now())
  const lane = { endpointId: endpoint.id, lane: task.session_id }
  const isProgress = event === 'task.progress'
  const earliest = await dropProgress(trx, { ...lane, all: isProgress, now })
  await insertDelivery(trx, {
    ...about(o, now),
    ...lane,
    createdBy: endpoint.created_by,
    id: derivedId('dlv', endpoint.id, task.id, seq),
    url: endpoint.url,
    body: bodyOf(o, endpoint.payload),
    nextTryAt: isProgress && earliest !== null && earliest > now ? earliest : now,
  })
}

function about({ event, task }: Announcement, now: Date) {
  return {
    ...{ sessionId: task.session_id, taskId: task.id, attempt: null, type: event },
    ...{ createdBy: task.created_by, now },
  }
}

function bodyOf(o: Announcement, payload: EndpointRow['payload']): string {
  const timestamp = new Date(o.clock.now()).toISOString()
  const { event: type, task } = o
  const write = (data: TaskWebhookBody['data']): string => {
    const said: TaskWebhookBody = { type, timestamp, data, context: task.order.context ?? null }
    return JSON.stringify(said)
  }
  const thin = { id: task.id, session_id: task.session_id, seq: o.seq, status: task.status }
  if (payload === 'thin') return write(thin)
  const body = write(fullData(o))
  return Buffer.byteLength(body) <= bodyBytesMax ? body : write({ ...thin, truncated: true })
}

function fullData({ task, seq, about: more }: Announcement) {
  const { id, session_id, type, priority, status, reason, message, result, error } = task
  return { id, session_id, seq, type, priority, status, reason, message, result, error, ...more }
}
