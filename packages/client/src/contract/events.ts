import { z } from 'zod'
import { countParam, pageOf, sessionId, text, timestamp, total, totalMax } from './common.ts'

/** An event of a session's log. */
const eventId = z.string().meta({ example: 'sevt_01kaw3n6hxe4m9q2v7r5t8yabc' })

/**
 * One numbered entry of a session's log: the Managed Agents object plus `seq` and `session_id`.
 * Fields beyond these depend on `type`; readers ignore types and fields that they do not know.
 */
export const sessionEvent = z
  .looseObject({
    id: eventId,
    type: z.string().describe('What happened: agent.message, session.status_idle, task.…'),
    seq: z.int().positive().describe('Dense number in the session; every reader resumes from it.'),
    session_id: sessionId,
    thread_id: z.string().nullable().optional(),
    attempt: z.int().nonnegative().optional(),
    processed_at: timestamp
      .nullable()
      .describe('Null: accepted, and not yet read by the agent; the same id comes again then.'),
    truncated: z.literal(true).optional().describe('In lists: tool output beyond 8 KiB is cut.'),
  })
  .meta({ id: 'SessionEvent' })
export type SessionEvent = z.infer<typeof sessionEvent>

/** A page of events, oldest first. */
export const eventPage = pageOf('SessionEventPage', sessionEvent).extend({
  total: total
    .optional()
    .describe(
      `Events in the whole log that fit, whatever the page, where \`q\`, \`types\` or \`errors\` is given; ${totalMax} stands for that many or more.`,
    ),
})

/** An event's number in a query or a header, from which on to read; 0 is before the first. */
export const seqParam = countParam(0, 999_999_999_999_999)

/** Rows in a page of events, at most: official readers ask for 1,000. */
export const eventPageMax = 1000
export const eventPageDefault = 100

/** Characters of an event type, at most. */
const eventTypeCharsMax = 100

/** An event type in a filter: dotted words. */
export const eventType = z
  .string()
  .max(eventTypeCharsMax)
  .regex(/^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/, 'expected an event type such as agent.message')

/** Characters of the text to search for, at most. */
const searchCharsMax = 200

/** Text to look for in the events of a session. */
export const eventSearch = text(searchCharsMax)
