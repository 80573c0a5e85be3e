import { z } from 'zod'
import { countParam, deliveryId, endpointId, pageMax, pageOf, taskId, timestamp } from './common.ts'

/** Waits for its (next) try; arrived; or was given up, and is sent again only when asked for. */
const deliveryStatus = z.enum(['pending', 'delivered', 'dead'])
export type DeliveryStatus = z.infer<typeof deliveryStatus>

const fields = {
  id: deliveryId.describe('The webhook-id that the receiver sees, the same at every try.'),
  type: z.literal('delivery'),
  endpoint_id: endpointId.nullable().describe('Null: the callback of an order.'),
  task_id: z.string().nullable(),
  event: z.string().describe('task.completed, for example; endpoint.test: a test.'),
  url: z.string(),
  status: deliveryStatus,
  tries: z.int().nonnegative().describe('Since it was written, or was last sent again on request.'),
  next_try_at: timestamp.nullable(),
  delivered_at: timestamp.nullable(),
  gave_up_at: timestamp.nullable(),
  last_status: z.int().nullable().describe('HTTP status of the last answer.'),
  last_error: z.string().nullable().describe('Why the last try failed.'),
  created_at: timestamp,
} as const

/** A message to a receiver, and what became of it. */
const delivery = z.object(fields).meta({ id: 'Delivery' })
export type Delivery = z.infer<typeof delivery>

const headers = z.record(z.string(), z.string())

const deliveryTry = z.object({
  started_at: timestamp,
  duration_ms: z.int().nonnegative(),
  request_headers: headers,
  status: z.int().nullable().describe('Null: there was no answer.'),
  response_headers: headers.nullable().describe('The first 4 KiB of them.'),
  response_body: z.string().nullable().describe('The first 4 KiB of it.'),
  error: z.string().nullable(),
})

/** The same with the body that is sent, and the log of its tries. */
export const deliveryWithTries = delivery
  .extend({
    request_body: z.string(),
    log: z.array(deliveryTry).describe('The last 50 tries, oldest first.'),
  })
  .meta({ id: 'DeliveryWithTries' })
export type DeliveryWithTries = z.infer<typeof deliveryWithTries>

/** A page of deliveries, newest first. */
export const deliveryPage = pageOf('DeliveryPage', delivery)

/** What the list of an endpoint's deliveries is asked for. */
export const deliveryQuery = z.strictObject({
  status: deliveryStatus.optional(),
  page: countParam(0, 999_999_999_999_999).optional().describe('Opaque: from the page before.'),
  limit: countParam(1, pageMax).optional(),
})

/** What the list of all deliveries is asked for. */
export const deliveriesQuery = deliveryQuery.extend({
  task_id: taskId.optional().describe('Only what is told of this task, its callback included.'),
})
