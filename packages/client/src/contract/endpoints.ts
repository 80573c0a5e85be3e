import { z } from 'zod'
import { check, countParam, endpointId, pageMax, pageOf, taskId, timestamp } from './common.ts'
import { storable } from './metadata.ts'
import { type OrderPolicy, orderFields } from './orders.ts'

/** What an endpoint can be told of a task. */
const taskWebhook = z.enum([
  'task.started',
  'task.progress',
  'task.waiting',
  'task.completed',
  'task.failed',
])
export type TaskWebhook = z.infer<typeof taskWebhook>

/** What it can be told of a session, in the words and the form of the Managed Agents API. */
const sessionWebhook = z.enum([
  'session.status_run_started',
  'session.status_idled',
  'session.status_rescheduled',
  'session.status_terminated',
])
export type SessionWebhook = z.infer<typeof sessionWebhook>

const webhookEvent = z.enum([...taskWebhook.options, ...sessionWebhook.options])
export type WebhookEvent = z.infer<typeof webhookEvent>

/** `full`: the task with its result; `thin`: its ids, for a receiver that asks for the rest. */
const payload = z.enum(['full', 'thin'])
export type WebhookPayload = z.infer<typeof payload>

const nameCharsMax = 100

/** An endpoint that is made. */
export interface NewEndpoint {
  readonly url: string
  readonly name: string
  /** Null: every event of a task, those that come with a later version too. */
  readonly events: readonly WebhookEvent[] | null
  readonly payload: WebhookPayload
  /** Null: every task of the key. */
  readonly task_id: string | null
}

/** A change of an endpoint: an absent field stays. */
export interface EndpointPatch {
  readonly url?: string | undefined
  readonly name?: string | undefined
  readonly events?: readonly WebhookEvent[] | null | undefined
  readonly payload?: WebhookPayload | undefined
  readonly disabled?: boolean | undefined
}

function endpointFields(policy: OrderPolicy) {
  return {
    url: orderFields(policy).callbackUrl.describe(
      'Receiver of signed POSTs; https, or allowed by the server.',
    ),
    name: storable(nameCharsMax).describe('Yours, to tell endpoints apart.'),
    events: z
      .array(webhookEvent)
      .min(1)
      .max(webhookEvent.options.length)
      .superRefine(check(eventsProblem))
      .nullable()
      .describe(
        'Only these; null: all of a task, those that come with a later version too. Those of its session are sent to who names them.',
      ),
    payload: payload.describe('full: the task with its result; thin: its ids and its status.'),
  }
}

/** `POST /v1/endpoints` → the endpoint, on a server with this policy. */
export function endpointCreate(policy: OrderPolicy) {
  const { url, name, events, payload: form } = endpointFields(policy)
  return z
    .strictObject({
      url,
      name: name.default(''),
      events: events.default(null),
      payload: form.default('full'),
      task_id: taskId
        .nullable()
        .default(null)
        .describe('Only of this task of the key’s, and gone with it; null: of all that it orders.'),
    })
    .meta({ id: 'EndpointCreate' })
}

/** `POST /v1/endpoints/{id}` → the change. */
export function endpointUpdate(policy: OrderPolicy) {
  const fields = endpointFields(policy)
  return z
    .strictObject({
      ...fields,
      disabled: z
        .boolean()
        .describe('true: it is told nothing more, and what waits for it is given up.'),
    })
    .partial()
    .meta({ id: 'EndpointUpdate' })
}

/** A webhook receiver as `/v1` shows it. */
export const endpoint = z
  .object({
    id: endpointId,
    type: z.literal('endpoint'),
    url: z.string(),
    name: z.string(),
    events: z.array(webhookEvent).nullable(),
    payload,
    task_id: taskId.nullable().describe('The one task that it is told of; null: all of its key.'),
    disabled_at: timestamp.nullable(),
    disabled_reason: z
      .string()
      .nullable()
      .describe(
        'gone: it answered 410; failing: nothing arrived for five days; requested: somebody asked for it.',
      ),
    failing_since: timestamp
      .nullable()
      .describe('The first try that failed since one arrived; null: the last one did.'),
    previous_secret_expires_at: timestamp
      .nullable()
      .describe('Until then deliveries are signed with the secret before the last rotation, too.'),
    created_by: z.string().describe('The key whose tasks it is told of.'),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Endpoint' })
export type Endpoint = z.infer<typeof endpoint>

/** The same with its secret, which nobody is shown again. */
export const endpointWithSecret = endpoint
  .extend({ secret: z.string().describe('whsec_…, shown this once: verify signatures with it.') })
  .meta({ id: 'EndpointWithSecret' })

/** A page of endpoints, newest first. */
export const endpointPage = pageOf('EndpointPage', endpoint)

/** What the list of endpoints is asked for. */
export const endpointQuery = z.strictObject({
  task_id: taskId.optional().describe('Only those of this one task.'),
  page: endpointId.optional().describe('Opaque: the next page as the page before named it.'),
  limit: countParam(1, pageMax).optional(),
})

/** What is left of an endpoint that was deleted. */
export const endpointDeleted = z
  .object({ id: endpointId, type: z.literal('endpoint_deleted') })
  .meta({ id: 'EndpointDeleted' })

function eventsProblem(events: readonly string[]): string | null {
  return new Set(events).size === events.length ? null : 'expected each event once'
}
