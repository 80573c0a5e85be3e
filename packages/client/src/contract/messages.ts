import { z } from 'zod'
import { sessionId, taskId, text, timestamp } from './common.ts'
import { instructionsCharsMax } from './orders.ts'

/** When a message is read by the agent of a task that runs; a finished task reads it at once. */
const messageMode = z
  .enum(['steer', 'interrupt', 'queue'])
  .describe(
    'steer: in the running turn, after the tool call that runs. interrupt: at once, the turn is cut off. queue: after the turn, before the checks.',
  )
export type MessageMode = z.infer<typeof messageMode>

/** The body of `POST /v1/tasks/{id}/messages`; unknown fields are refused. */
export const messageCreate = z
  .strictObject({
    text: text(instructionsCharsMax).describe('What to tell the agent.'),
    mode: messageMode.default('steer'),
  })
  .meta({ id: 'MessageCreate' })

/** A message as it was accepted. */
export const message = z
  .object({
    id: z.string().describe('Of the user.message event; it comes again once the agent has it.'),
    task_id: taskId,
    session_id: sessionId,
    seq: z.int().positive().describe('Number of that event in the session’s log.'),
    mode: messageMode,
    text: z.string(),
    reopened: z.boolean().describe('The task had ended and goes on with this message.'),
    created_by: z.string().nullable(),
    created_at: timestamp,
    processed_at: timestamp.nullable(),
  })
  .meta({ id: 'Message' })
export type Message = z.infer<typeof message>
