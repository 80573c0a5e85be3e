import { z } from 'zod'
import { approval } from './approvals.ts'
import { endpointId, sessionId, taskId, timestamp } from './common.ts'
import type { SessionWebhook, TaskWebhook, WebhookEvent } from './endpoints.ts'
import { priority, taskType } from './orders.ts'
import { reason, taskStatus } from './reasons.ts'
import { taskError, taskResult } from './results.ts'

/** What is posted to the endpoints of a key: the body of each event, and what is said of it. */
interface Webhook {
  readonly event: WebhookEvent | 'endpoint.test'
  readonly when: string
  readonly body: z.ZodType
}

const of = {
  id: taskId,
  session_id: sessionId,
  seq: z
    .int()
    .positive()
    .describe('Number of the event in the session’s log: a stream or a page goes on from there.'),
  status: taskStatus,
}

const thinTask = z
  .object({
    ...of,
    truncated: z
      .literal(true)
      .optional()
      .describe('It would be larger than 256 KiB with the rest.'),
  })
  .meta({ id: 'WebhookTaskThin' })

const fullTask = z
  .object({
    ...of,
    type: taskType,
    priority,
    reason,
    message: z.string(),
    result: taskResult.nullable(),
    error: taskError.nullable(),
  })
  .meta({ id: 'WebhookTask' })

/** Whom or what a parked task waits for. */
const waitsFor = {
  approval: approval
    .pick({ id: true, kind: true, request: true, on_deadline: true, deadline_at: true })
    .nullable()
    .describe('What a human is asked; null: nothing.'),
  until: timestamp.nullable().describe('When it goes on by itself; null: with the answer.'),
}

const reported = {
  progress: z
    .object({ message: z.string(), percent: z.number().nullable() })
    .describe('In the agent’s own words.'),
}

const waitingTask = fullTask.extend(waitsFor).meta({ id: 'WebhookTaskWaiting' })
const progressTask = fullTask.extend(reported).meta({ id: 'WebhookTaskProgress' })

/** What a full one says beyond the task itself. */
export type WebhookAbout =
  | Pick<z.infer<typeof waitingTask>, keyof typeof waitsFor>
  | Pick<z.infer<typeof progressTask>, keyof typeof reported>

/** The body of a webhook about a task, as an endpoint or an order’s callback gets it. */
export interface TaskWebhookBody {
  readonly type: TaskWebhook
  readonly timestamp: string
  readonly data: z.infer<typeof thinTask> | (z.infer<typeof fullTask> & Partial<WebhookAbout>)
  readonly context: unknown
}

function ofTask(event: TaskWebhook, full: z.ZodType) {
  return z.object({
    type: z.literal(event),
    timestamp,
    data: z.union([full, thinTask]),
    context: z.unknown().describe('The order’s context; null if it had none.'),
  })
}

function ofSession(event: SessionWebhook) {
  return z.object({
    type: z.literal('event'),
    id: z.string().describe('Of the event in the session’s log: sevt_…'),
    created_at: timestamp,
    data: z.object({
      type: z.literal(event),
      id: sessionId,
      organization_id: z.literal('longhaul'),
      workspace_id: z.literal('default'),
    }),
  })
}

/** The body of a webhook about a session, in the form of the Managed Agents API. */
export type SessionWebhookBody = z.infer<ReturnType<typeof ofSession>>

const ofTest = z.object({
  type: z.literal('endpoint.test'),
  timestamp,
  data: z.object({ endpoint_id: endpointId }),
  context: z.null(),
})
export type TestWebhookBody = z.infer<typeof ofTest>

const isCallback = 'It is the callback of the order, too, signed with CALLBACK_SECRET.'
const inWords = 'Sent only to who names it.'

/** All that an endpoint may be told. */
export const webhooks: readonly Webhook[] = [
  {
    event: 'task.started',
    when: 'The work of a task begins; again when a message reopened it.',
    body: ofTask('task.started', fullTask),
  },
  {
    event: 'task.progress',
    when: 'The agent reports progress: the newest, at most every 2 s; sent once, never again.',
    body: ofTask('task.progress', progressTask),
  },
  {
    event: 'task.waiting',
    when: 'The task is parked.',
    body: ofTask('task.waiting', waitingTask),
  },
  {
    event: 'task.completed',
    when: `The task is done. ${isCallback}`,
    body: ofTask('task.completed', fullTask),
  },
  {
    event: 'task.failed',
    when: `The task failed, was cancelled or ran out of time. ${isCallback}`,
    body: ofTask('task.failed', fullTask),
  },
  {
    event: 'session.status_run_started',
    when: `The session of a task runs. ${inWords}`,
    body: ofSession('session.status_run_started'),
  },
  {
    event: 'session.status_idled',
    when: `The session waits. ${inWords}`,
    body: ofSession('session.status_idled'),
  },
  {
    event: 'session.status_rescheduled',
    when: `The session goes on as soon as there is a slot. ${inWords}`,
    body: ofSession('session.status_rescheduled'),
  },
  {
    event: 'session.status_terminated',
    when: `The session is over. ${inWords}`,
    body: ofSession('session.status_terminated'),
  },
  {
    event: 'endpoint.test',
    when: 'Somebody tries the endpoint out; sent once, never again.',
    body: ofTest,
  },
]

/** Of every delivery, as Standard Webhooks has them: https://www.standardwebhooks.com. */
export const webhookHeaders = z.object({
  'webhook-id': z
    .string()
    .describe('The delivery; the same at every try, so that repeats are told by it.'),
  'webhook-timestamp': z
    .string()
    .describe('Of this try, in seconds since the epoch: refuse one that is minutes old.'),
  'webhook-signature': z
    .string()
    .describe(
      '`v1,` and the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` in base64, by the bytes that the endpoint’s secret (`whsec_` and base64) stands for. After a rotation there are two, separated by a space.',
    ),
})
