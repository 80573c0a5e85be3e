import { type CheckResult, failedReason } from '@longhaul/client/contract'
import { z } from 'zod'
import type { TaskRow } from '../store/tables.ts'

const phase = z.enum(['clone', 'setup', 'agent', 'checks', 'commands', 'publish'])

/**
 * How far a task's work has come, written with the event that says so and read by the next attempt:
 * a phase that is finished here is not done again. It is the server's own record; nothing in it
 * comes from the agent except `summary`.
 */
const schema = z.object({
  /** The phase that the next attempt goes on with. */
  next: phase.default('clone'),
  base: z
    .object({ branch: z.string(), commit: z.string(), isDefault: z.boolean().default(false) })
    .optional(),
  /** The node that holds the workspace; on another one it is cloned again. */
  node: z.string().optional(),
  /** Of a workspace that was lost, and is made anew. */
  rebuild: z
    .object({
      /** The phase that it was lost in. */
      next: phase.exclude(['clone', 'setup']),
      /** Once it is there: the last event of which it has the changes; 0: of none. */
      seq: z.number().int().optional(),
      /** The last event before it was there. */
      until: z.number().int().optional(),
    })
    .optional(),
  /** The commands that decide, fixed before the agent starts. */
  checks: z.array(z.string()).default([]),
  /** Patterns of what set-up left untracked, which no commit carries. */
  byProducts: z.array(z.string()).default([]),
  setupFailure: z.custom<CheckResult>().optional(),
  /** The commit that was checked: it, and nothing that came after it, is published. */
  tip: z.string().optional(),
  /** Rounds of checks that have failed. */
  rounds: z.number().int().default(0),
  checkResults: z.array(z.custom<CheckResult>()).default([]),
  /** Why what was done may not be pushed; the agent was asked to undo it. */
  objection: z.string().nullable().default(null),
  summary: z.string().default(''),
  /** Deploy commands that have ended, and whether one more was started. */
  commands: z.array(z.custom<CheckResult>()).default([]),
  commandStarted: z.boolean().default(false),
  /** The branch that the order asked for, published. */
  pushed: z.object({ branch: z.string(), commit: z.string() }).optional(),
  commits: z.array(z.object({ sha: z.string(), subject: z.string() })).default([]),
  pullRequestUrl: z.string().optional(),
  /** Sentences about what the pull request lacks of the order; absent until that is all done. */
  pullRequestNotes: z.array(z.string()).optional(),
  /** How the task fails, once that is decided: all that is left to do is to keep the work. */
  ending: z.object({ reason: failedReason, message: z.string().optional() }).optional(),
  /** Where the work is that was not published; the directory, when it could not be kept. */
  kept: z
    .object({
      pushed: z.object({ branch: z.string(), commit: z.string() }).optional(),
      artifacts: z.array(z.string()),
      /** Whether the patch among them had secrets, which were taken out. */
      scrubbed: z.boolean().optional(),
      directory: z.string().optional(),
    })
    .optional(),
  /** Of a task that was reopened: by which message, and where the work of before is. */
  earlier: z
    .object({
      messageId: z.string(),
      /** One line of the message: the subject of its commit. */
      title: z.string(),
      /** The branch of it on the git host. */
      branch: z.string().optional(),
      /** What is newer than the branch, if there is one, is the artifact `work.patch`. */
      patch: z.boolean(),
      scrubbed: z.boolean().optional(),
      pullRequestUrl: z.string().optional(),
      /** What the workspace began with, once it is there, and the commit that is checked out. */
      start: z.enum(['branch', 'patch', 'base', 'merged', 'gone']).optional(),
      commit: z.string().optional(),
    })
    .optional(),
  /** The tool call that a human was asked about; it is made, or refused, when the agent goes on. */
  waitingCall: z.string().nullable().default(null),
  /** How often the task was parked since the provider has no quota, and for how long in all. */
  quota: z
    .object({ waits: z.number().int(), waitedMs: z.number().default(0) })
    .nullable()
    .default(null),
  /** What the task may cost, once it was raised above its order. */
  budgetUsd: z.number().optional(),
  /**
   * Attempts in a row, with the one that is under way, that finished neither a phase nor a turn of
   * the agent, through no doing of the agent.
   */
  strikes: z.number().int().default(0),
  /** The attempt that wrote the last of them. */
  struck: z.number().int().default(0),
})

export type Progress = z.infer<typeof schema>

/** Reads the stored record; `{}` is that of a task that has not started. */
export function progressOf(stored: unknown): Progress {
  return schema.parse(stored ?? {})
}

/** What the task may cost in US dollars: as ordered, or as it was raised; undefined: no limit. */
export function limitUsdOf({ order, progress }: Pick<TaskRow, 'order' | 'progress'>) {
  return progressOf(progress).budgetUsd ?? order.maxBudgetUsd
}
