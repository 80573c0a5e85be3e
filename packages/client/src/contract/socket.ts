import { z } from 'zod'
import { sessionId } from './common.ts'
import type { ErrorBody } from './errors.ts'

/** Kinds of events whose pieces a reader may ask for while they are made. */
export const deltaType = z.enum(['agent.message', 'agent.thinking'])
const deltaTypesMax = deltaType.options.length

/** An event's number in a message, from which on to read; 0 is before the first. */
const seq = z.int().min(0)

/** What a client says on `/v1/ws`, one JSON object a message; unknown fields are refused. */
export const socketMessage = z
  .discriminatedUnion(
    'type',
    [
      z.strictObject({
        type: z.literal('subscribe'),
        session_id: sessionId,
        after: seq.optional().describe('Replay the events with a higher `seq` first.'),
        event_deltas: z
          .array(deltaType)
          .max(deltaTypesMax)
          .optional()
          .describe('Also send live deltas of these; they have no `seq`.'),
      }),
      z.strictObject({ type: z.literal('unsubscribe'), session_id: sessionId }),
      z.strictObject({ type: z.literal('ping') }),
    ],
    { error: 'expected one of subscribe, unsubscribe, ping' },
  )
  .meta({ id: 'SocketMessage' })
export type SocketMessage = z.infer<typeof socketMessage>

/**
 * What the server says on `/v1/ws` besides events and their deltas, which come as they are, each with
 * its `session_id`.
 */
export type SocketAnswer =
  | {
      readonly type: 'subscribed'
      readonly session_id: string
      /** Events with a higher `seq` follow. */
      readonly after: number
    }
  | {
      readonly type: 'unsubscribed'
      readonly session_id: string
      /** The client asked; the session's last event was sent; the log cannot be read now. */
      readonly reason: 'requested' | 'ended' | 'failed'
    }
  | { readonly type: 'pong' }
  | (ErrorBody & { readonly session_id?: string })
