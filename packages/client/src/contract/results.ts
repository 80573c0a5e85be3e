import { z } from 'zod'
import { usd } from './common.ts'
import { failedReason } from './reasons.ts'

const tokens = z.int().nonnegative()

/** Tokens used at the model, summed over every request of a task. */
export const usage = z
  .object({
    input_tokens: tokens,
    output_tokens: tokens,
    cache_read_input_tokens: tokens,
    cache_creation_input_tokens: tokens,
  })
  .meta({ id: 'Usage' })
export type Usage = z.infer<typeof usage>

export const checkOutcome = z.enum(['passed', 'failed', 'timed_out'])
export const checksOutcome = z.enum(['passed', 'failed', 'skipped'])

/** One check command, as the server ran it. */
export const checkResult = z
  .object({
    command: z.string(),
    outcome: checkOutcome,
    exit_code: z.int().nullable(),
    duration_ms: z.int().nonnegative(),
    output_tail: z.string(),
  })
  .meta({ id: 'CheckResult' })
export type CheckResult = z.infer<typeof checkResult>

export const commit = z.object({ sha: z.string(), subject: z.string() }).meta({ id: 'Commit' })
export type Commit = z.infer<typeof commit>

/** What a task delivered; fields that its type or its end did not bring are null. */
export const taskResult = z
  .object({
    summary: z.string(),
    branch: z.string().nullable(),
    commits: z.array(commit),
    pull_request_url: z.string().nullable(),
    checks: z.object({
      outcome: checksOutcome,
      rounds: z.int().nonnegative(),
      results: z.array(checkResult),
    }),
    usage,
    cost_usd: usd,
  })
  .meta({ id: 'TaskResult' })
export type TaskResult = z.infer<typeof taskResult>

/** Why a task failed, for a program and for people. */
export const taskError = z
  .object({ reason: failedReason, message: z.string(), next: z.string() })
  .meta({ id: 'TaskError' })
export type TaskError = z.infer<typeof taskError>
