import {
  type Artifact,
  type PullRequestOptions,
  type Reason,
  type Repository,
  reasons,
  type Session,
  type SessionEvent,
  type Task,
  type TaskOrder,
  type TaskResult,
  type Workflow,
  type WorkflowResult,
} from '@longhaul/client/contract'
import type { ListedSession } from '../store/session-list.ts'
import type { ArtifactRow, RepositoryRow, TaskRow } from '../store/tables.ts'

/** A task in the form of `/v1`. `why`: of `whyQueued`. */
export function presentTask(row: TaskRow, why: string | null): Task {
  const { order } = row
  return {
    id: row.id,
    session_id: row.session_id,
    type: row.type,
    priority: row.priority,
    status: row.status,
    reason: row.reason,
    message: messageOf(row, why),
    repo_url: order.repoUrl,
    instructions: order.instructions,
    ...presentPlace(order),
    base_branch: order.baseBranch ?? null,
    setup: listOf(order.setup),
    checks: listOf(order.checks),
    commands: listOf(order.commands),
    workdir: order.workdir ?? null,
    time_limit_minutes: order.timeLimitMinutes,
    max_budget_usd: order.maxBudgetUsd ?? null,
    budget_deadline_minutes: order.budgetDeadlineMinutes ?? null,
    budget_raise_to_usd: order.budgetRaiseToUsd ?? null,
    pull_request: presentPullRequest(order.pullRequest),
    commit: order.commit ?? null,
    allow_workflow_changes: order.allowWorkflowChanges ?? false,
    from_repository: (order.fromRepository ?? []).map(inSnakeCase),
    callback_url: order.callbackUrl ?? null,
    context: order.context ?? null,
    payload: { ...order.payload },
    labels: [...(order.labels ?? [])],
    start_at: order.startAt === undefined ? null : new Date(order.startAt).toISOString(),
    retry_of: row.retry_of,
    result: row.result,
    error: row.error,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    completed_at: row.completed_at?.toISOString() ?? null,
    cancel_requested_at: row.cancel_requested_at?.toISOString() ?? null,
  }
}

function messageOf(row: TaskRow, why: string | null): string {
  if (row.reason === 'queued' && why !== null) return why
  return row.message ?? sentenceOf(row.reason)
}

/** Who works, and where. */
function presentPlace({ agent, environment, sandbox }: TaskOrder) {
  return {
    agent: agent ? { type: 'agent' as const, ...agent } : null,
    environment: environment ? { type: 'environment' as const, ...environment } : null,
    sandbox: sandbox ?? null,
  }
}

/** A repository's settings in the form of `/v1`. */
export function presentRepository({ id, url, settings, ...row }: RepositoryRow): Repository {
  return {
    id,
    url,
    setup: listOf(settings.setup),
    checks: listOf(settings.checks),
    base_branch: settings.baseBranch ?? null,
    workdir: settings.workdir ?? null,
    time_limit_minutes: settings.timeLimitMinutes ?? null,
    max_budget_usd: settings.maxBudgetUsd ?? null,
    budget_deadline_minutes: settings.budgetDeadlineMinutes ?? null,
    budget_raise_to_usd: settings.budgetRaiseToUsd ?? null,
    pull_request: presentPullRequest(settings.pullRequest),
    commit: settings.commit ?? null,
    environment: settings.environment ?? null,
    allow_workflow_changes: settings.allowWorkflowChanges ?? false,
    concurrency: settings.concurrency ?? null,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

/** A task in the form of `/api/workflows`: camelCase, milliseconds. */
export function presentWorkflow(row: TaskRow): Workflow {
  return {
    id: row.id,
    type: row.type,
    priority: row.priority,
    status: row.status,
    payload: { ...row.order.payload },
    createdAt: row.created_at.getTime(),
    startedAt: row.started_at?.getTime() ?? null,
    completedAt: row.completed_at?.getTime() ?? null,
    result: row.result && presentResult(row.result),
    error: row.error,
  }
}

/** A session in the form of `/v1`. */
export function presentSession(row: ListedSession): Session {
  return {
    type: 'session',
    id: row.id,
    status: row.status,
    task_id: row.task_id,
    agent: { ...row.agent },
    environment: { ...row.environment },
    attempt: row.attempt,
    last_seq: row.last_seq,
    usage: { ...noUsage, ...row.usage },
    cost_usd: row.cost_usd,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    archived_at: row.archived_at?.toISOString() ?? null,
  }
}

const noUsage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}

/** An artifact as lists show it. */
export function presentArtifact(row: ArtifactRow): Artifact {
  return {
    id: row.id,
    name: row.name,
    content_type: row.content_type,
    bytes: row.bytes,
    attempt: row.attempt,
    created_at: row.created_at.toISOString(),
  }
}

/** Bytes of a tool's output that a list of events carries; the stream carries all of it. */
const toolOutputBytesMax = 8 * 1024

const toolResults: ReadonlySet<string> = new Set(['agent.tool_result', 'agent.mcp_tool_result'])

/** An event as lists show it: tool output beyond its first 8 KiB is cut, and says so. */
export function presentEvent(event: SessionEvent): SessionEvent {
  if (!toolResults.has(event.type)) return event
  const { content } = event
  const blocks: unknown[] = Array.isArray(content) ? content : [content]
  let room = toolOutputBytesMax
  let truncated = false
  const cut = blocks.map((block) => {
    const text = textOf(block)
    if (text === null) return block
    const kept = firstBytes(text, room)
    room -= Buffer.byteLength(kept)
    truncated ||= kept.length < text.length
    return typeof block === 'string' ? kept : { ...Object(block), text: kept }
  })
  if (!truncated) return event
  return { ...event, content: Array.isArray(content) ? cut : cut[0], truncated: true }
}

function presentPullRequest(options: PullRequestOptions = {}): Task['pull_request'] {
  return {
    draft: options.draft ?? null,
    reviewers: listOf(options.reviewers),
    team_reviewers: listOf(options.teamReviewers),
    labels: listOf(options.labels),
  }
}

function presentResult(result: TaskResult): WorkflowResult {
  const { usage, checks } = result
  return {
    summary: result.summary,
    branch: result.branch,
    commits: result.commits,
    pullRequestUrl: result.pull_request_url,
    checks: {
      outcome: checks.outcome,
      rounds: checks.rounds,
      results: checks.results.map((one) => ({
        command: one.command,
        outcome: one.outcome,
        exitCode: one.exit_code,
        durationMs: one.duration_ms,
        outputTail: one.output_tail,
      })),
    },
    usage: {
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      cacheReadInputTokens: usage.cache_read_input_tokens,
      cacheCreationInputTokens: usage.cache_creation_input_tokens,
    },
    costUsd: result.cost_usd,
  }
}

function listOf(entries: readonly string[] | undefined): string[] | null {
  return entries ? [...entries] : null
}

function inSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function sentenceOf(reason: Reason): string {
  return reasons[reason].sentence
}

function textOf(block: unknown): string | null {
  if (typeof block === 'string') return block
  if (typeof block !== 'object' || block === null) return null
  const text: unknown = Reflect.get(block, 'text')
  return typeof text === 'string' ? text : null
}

/** The longest beginning of at most `max` bytes of UTF-8, never half a character. */
function firstBytes(text: string, max: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= max) return text
  let end = max
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}
