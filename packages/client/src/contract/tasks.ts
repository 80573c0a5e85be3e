import { z } from 'zod'
import { agentPin } from './agent-reference.ts'
import { sessionId, taskId, timestamp, total } from './common.ts'
import { environmentPin, sandboxOverrides } from './environments.ts'
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
import { pullRequestInSnakeCase, pullRequestShown, toPullRequest } from './pull-requests.ts'
import { reason, taskStatus } from './reasons.ts'
import { taskError, taskResult } from './results.ts'

/** The body of `POST /v1/tasks`; unknown fields are refused. */
function taskCreate(policy: OrderPolicy) {
  const fields = orderFields(policy)
  return z
    .strictObject({
      type: taskType,
      repo_url: fields.repoUrl,
      instructions: fields.instructions,
      priority: fields.priority,
      agent: fields.agent.optional(),
      environment: fields.environment.optional(),
      sandbox: fields.sandbox.optional(),
      base_branch: fields.baseBranch.optional(),
      setup: fields.setup.optional(),
      checks: fields.checks.optional(),
      commands: fields.commands.optional(),
      workdir: fields.workdir.optional(),
      time_limit_minutes: fields.timeLimitMinutes.optional(),
      max_budget_usd: fields.maxBudgetUsd.optional(),
      budget_deadline_minutes: fields.budgetDeadlineMinutes.optional(),
      budget_raise_to_usd: fields.budgetRaiseToUsd.optional(),
      pull_request: pullRequestInSnakeCase.optional(),
      callback_url: fields.callbackUrl.optional(),
      context: fields.context.optional(),
      payload: fields.payload.optional(),
      labels: fields.labels.optional(),
      start_at: fields.startAtTime.optional(),
    })
    .check(commandsAreOfDeploys, raiseIsAbove('max_budget_usd', 'budget_raise_to_usd'))
    .meta({ id: 'TaskCreate' })
}

/** The body of `POST /v1/tasks`, as a client writes it. */
export type TaskCreate = z.input<ReturnType<typeof taskCreate>>

/** `POST /v1/tasks` → the order, on a server with this policy. */
export function taskCreateOrder(policy: OrderPolicy) {
  return taskCreate(policy).transform(
    ({
      repo_url,
      base_branch,
      time_limit_minutes,
      max_budget_usd,
      budget_deadline_minutes,
      budget_raise_to_usd,
      pull_request,
      callback_url,
      start_at,
      ...same
    }): GivenOrder =>
      toOrder({
        ...same,
        agent: same.agent,
        environment: same.environment,
        sandbox: same.sandbox,
        repoUrl: repo_url,
        baseBranch: base_branch,
        timeLimitMinutes: time_limit_minutes,
        maxBudgetUsd: max_budget_usd,
        budgetDeadlineMinutes: budget_deadline_minutes,
        budgetRaiseToUsd: budget_raise_to_usd,
        pullRequest:
          pull_request &&
          toPullRequest({ ...pull_request, teamReviewers: pull_request.team_reviewers }),
        callbackUrl: callback_url,
        setup: same.setup,
        checks: same.checks,
        commands: same.commands,
        workdir: same.workdir,
        payload: same.payload,
        labels: same.labels,
        startAt: start_at === undefined ? undefined : Date.parse(start_at),
      }),
  )
}

/** A task as `/v1` shows it. */
export const task = z
  .object({
    id: taskId,
    session_id: sessionId,
    type: taskType,
    priority,
    status: taskStatus,
    reason,
    message: z.string(),
    repo_url: z.string(),
    instructions: z.string(),
    agent: agentPin.nullable().describe('Null: from before agents had versions.'),
    environment: environmentPin.nullable().describe('Null: from before there were environments.'),
    sandbox: sandboxOverrides.nullable(),
    base_branch: z.string().nullable(),
    setup: z.array(z.string()).nullable(),
    checks: z.array(z.string()).nullable(),
    commands: z.array(z.string()).nullable(),
    workdir: z.string().nullable(),
    time_limit_minutes: z.int(),
    max_budget_usd: z.number().nullable(),
    budget_deadline_minutes: z.int().nullable(),
    budget_raise_to_usd: z.number().nullable(),
    pull_request: pullRequestShown,
    commit: z.object({ name: z.string(), email: z.string() }).nullable(),
    allow_workflow_changes: z.boolean(),
    from_repository: z
      .array(z.string())
      .describe('Fields that the order left open and its repository’s settings filled.'),
    callback_url: z.string().nullable(),
    context: z.unknown().describe('The order’s context; null if it had none.'),
    payload: z.record(z.string(), z.unknown()),
    labels: z.array(z.string()),
    start_at: timestamp.nullable(),
    retry_of: taskId.nullable().describe('The task that this one repeats; it may be deleted.'),
    result: taskResult.nullable(),
    error: taskError.nullable(),
    created_by: z.string().nullable(),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
    cancel_requested_at: timestamp.nullable(),
  })
  .meta({ id: 'Task' })
export type Task = z.infer<typeof task>

/** What is left of a task that was deleted. */
export const taskDeleted = z
  .object({ id: taskId, type: z.literal('task_deleted') })
  .meta({ id: 'TaskDeleted' })

/** A page of tasks, newest first. */
export const taskPage = z
  .object({ data: z.array(task), next_page: z.string().nullable(), total })
  .meta({ id: 'TaskPage' })
