import { z } from 'zod'
import { agentId } from './common.ts'

/** An agent in an order: its newest version, or the one that is named. */
export const agentReference = z
  .union([
    agentId,
    z.strictObject({
      type: z.literal('agent').optional(),
      id: agentId,
      version: z.int().min(1).optional(),
    }),
  ])
  .transform(
    (given): AgentReference =>
      typeof given === 'string'
        ? { id: given }
        : { id: given.id, ...(given.version !== undefined && { version: given.version }) },
  )
  .describe(
    'The agent that works: an id, or `{type: "agent", id, version}`; absent: that of the type.',
  )

/** An agent, and its version unless the newest is meant. */
export interface AgentReference {
  readonly id: string
  readonly version?: number
}

/** The version of an agent that a task has, for good. */
export const agentPin = z
  .object({ type: z.literal('agent'), id: agentId, version: z.int() })
  .meta({ id: 'AgentPin' })
