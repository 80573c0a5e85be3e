import { z } from 'zod'
import { epochMs, taskId, total, usd } from './common.ts'
import {
  commandsAreOfDeploys,
  type GivenOrder,
  type OrderPolicy,
  orderFields,
  priority,
  raiseIsAbove,
  taskType,
  toOrder,
} from './orders.ts'
import { pullRequestInCamelCase, toPullRequest } from './pull-requests.ts'
import { taskStatus } from './reasons.ts'
import { checkOutcome, checksOutcome, commit, taskError } from './results.ts'

/** The body of `POST /api/workflows`; unknown fields are refused. */
function workflowCreate(policy: OrderPolicy) {
  const fields = orderFields(policy)
  return z
    .strictObject({
      type: taskType,
      repoUrl: fields.repoUrl,
      instructions: fields.instructions,
      priority: fields.priority,
      agent: fields.agent.optional(),
      environment: fields.environment.optional(),
      sandbox: fields.sandbox.optional(),
      baseBranch: fields.baseBranch.optional(),
      setup: fields.setup.optional(),
      checks: fields.checks.optional(),
      commands: fields.commands.optional(),
      workdir: fields.workdir.optional(),
      timeLimitMinutes: fields.timeLimitMinutes.optional(),
      maxBudgetUsd: fields.maxBudgetUsd.optional(),
      budgetDeadlineMinutes: fields.budgetDeadlineMinutes.optional(),
      budgetRaiseToUsd: fields.budgetRaiseToUsd.optional(),
      pullRequest: pullRequestInCamelCase.optional(),
      callbackUrl: fields.callbackUrl.optional(),
      context: fields.context.optional(),
      payload: fields.payload.optional(),
      labels: fields.labels.optional(),
      startAt: fields.startAt.optional(),
    })
    .check(commandsAreOfDeploys, raiseIsAbove('maxBudgetUsd', 'budgetRaiseToUsd'))
    .meta({ id: 'WorkflowCreate' })
}

/** The body of `POST /api/workflows`, as a client writes it. */
export type WorkflowCreate = z.input<ReturnType<typeof workflowCreate>>

/** `POST /api/workflows` → the order, on a server with this policy. */
export function workflowCreateOrder(policy: OrderPolicy) {
  return workflowCreate(policy).transform(
    (given): GivenOrder =>
      toOrder({
        ...given,
        agent: given.agent,
        environment: given.environment,
        sandbox: given.sandbox,
        baseBranch: given.baseBranch,
        setup: given.setup,
        checks: given.checks,
        commands: given.commands,
        workdir: given.workdir,
        timeLimitMinutes: given.timeLimitMinutes,
        maxBudgetUsd: given.maxBudgetUsd,
        budgetDeadlineMinutes: given.budgetDeadlineMinutes,
        budgetRaiseToUsd: given.budgetRaiseToUsd,
        pullRequest: given.pullRequest && toPullRequest(given.pullRequest),
        callbackUrl: given.callbackUrl,
        payload: given.payload,
        labels: given.labels,
        startAt: given.startAt,
      }),
  )
}

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
  .object({ data: z.array(workflow), nextPage: z.string().nullable(), total })
  .meta({ id: 'WorkflowPage' })
