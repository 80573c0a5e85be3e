import { z } from 'zod'
import { epochMs, taskId, usd } from './common.ts'
import { orderFields, priority, type TaskOrder, taskType, toOrder } from './orders.ts'
import { taskStatus } from './reasons.ts'
import { repoUrl } from './repo-url.ts'
import { checkOutcome, checksOutcome, commit, taskError } from './results.ts'

/** The body of `POST /api/workflows`; unknown fields are refused. */
const workflowCreate = z
  .strictObject({
    type: taskType,
    repoUrl,
    instructions: orderFields.instructions,
    priority: orderFields.priority,
    baseBranch: orderFields.baseBranch.optional(),
    setup: orderFields.setup.optional(),
    checks: orderFields.checks.optional(),
    commands: orderFields.commands.optional(),
    workdir: orderFields.workdir.optional(),
    timeLimitMinutes: orderFields.timeLimitMinutes,
    maxBudgetUsd: orderFields.maxBudgetUsd.optional(),
    callbackUrl: orderFields.callbackUrl.optional(),
    context: orderFields.context.optional(),
    payload: orderFields.payload.optional(),
  })
  .meta({ id: 'WorkflowCreate' })

/** The body of `POST /api/workflows`, as a client writes it. */
export type WorkflowCreate = z.input<typeof workflowCreate>

/** `POST /api/workflows` → the order. */
export const workflowCreateOrder = workflowCreate.transform(
  (given): TaskOrder =>
    toOrder({
      ...given,
      baseBranch: given.baseBranch,
      setup: given.setup,
      checks: given.checks,
      commands: given.commands,
      workdir: given.workdir,
      maxBudgetUsd: given.maxBudgetUsd,
      callbackUrl: given.callbackUrl,
      payload: given.payload,
    }),
)

const tokens = z.int().nonnegative()

/** What a task delivered, in the camelCase of `/api/workflows`. */
const workflowResult = z
  .object({
    summary: z.string(),
    branch: z.string().nullable(),
    commits: z.array(commit),
    pullRequestUrl: z.string().nullable(),
    checks: z.object({
      outcome: checksOutcome,
      rounds: tokens,
      results: z.array(
        z.object({
          command: z.string(),
          outcome: checkOutcome,
          exitCode: z.int().nullable(),
          durationMs: tokens,
          outputTail: z.string(),
        }),
      ),
    }),
    usage: z.object({
      inputTokens: tokens,
      outputTokens: tokens,
      cacheReadInputTokens: tokens,
      cacheCreationInputTokens: tokens,
    }),
    costUsd: usd,
  })
  .meta({ id: 'WorkflowResult' })
export type WorkflowResult = z.infer<typeof workflowResult>

/** A task as `/api/workflows` shows it: four statuses, times in milliseconds. */
export const workflow = z
  .object({
    id: taskId,
    type: taskType,
    priority,
    status: taskStatus,
    payload: z.record(z.string(), z.unknown()),
    createdAt: epochMs,
    startedAt: epochMs.nullable(),
    completedAt: epochMs.nullable(),
    result: workflowResult.nullable(),
    error: taskError.nullable(),
  })
  .meta({ id: 'Workflow' })
export type Workflow = z.infer<typeof workflow>

/** A page of workflows, newest first. */
export const workflowPage = z
  .object({ data: z.array(workflow), nextPage: z.string().nullable() })
  .meta({ id: 'WorkflowPage' })
