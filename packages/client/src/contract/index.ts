/**
 * The wire contract of the server, in zod: what its routes validate, what the OpenAPI document is
 * made of and what the client's types are inferred from. Neutral: it runs wherever zod does.
 */

export type { AgentReference } from './agent-reference.ts'
export {
  type AgentPolicy,
  askingPolicy,
  type BuiltInTool,
  builtInTool,
  defaultTools,
  type ToolAccess,
  type Toolset,
  toolAccess,
} from './agent-tools.ts'
export {
  type Agent,
  type AgentContent,
  type AgentPatch,
  agent,
  agentContent,
  agentCreate,
  agentPage,
  agentProblems,
  agentUpdate,
  patchAgent,
} from './agents.ts'
export { type ServerAlert, type ServerAlertName, serverAlert } from './alerts.ts'
export {
  type Approval,
  type ApprovalAnswer,
  type ApprovalKind,
  type ApprovalRequest,
  type ApprovalStatus,
  answerProblem,
  approval,
  approvalAnswer,
  approvalPage,
  approvalQuery,
  deadlineMinutesDefault,
  type OnDeadline,
  type QuestionRequest,
} from './approvals.ts'
export { type Artifact, artifact, artifactName, artifactPage } from './artifacts.ts'
export { type AuditEntry, auditPage, auditQuery } from './audit.ts'
export {
  agentId,
  approvalId,
  artifactId,
  countParam,
  deliveryId,
  endpointId,
  environmentId,
  isStorable,
  keyId,
  listParam,
  pageDefault,
  pageMax,
  repositoryId,
  scheduleId,
  sessionId,
  taskId,
  totalMax,
  workerId,
} from './common.ts'
export {
  type Delivery,
  type DeliveryStatus,
  type DeliveryWithTries,
  deliveriesQuery,
  deliveryPage,
  deliveryQuery,
  deliveryWithTries,
} from './deliveries.ts'
export { type DiffFile, type TaskDiff, taskDiff } from './diff.ts'
export {
  type Endpoint,
  type EndpointPatch,
  endpoint,
  endpointCreate,
  endpointDeleted,
  endpointPage,
  endpointQuery,
  endpointUpdate,
  endpointWithSecret,
  type NewEndpoint,
  type SessionWebhook,
  type TaskWebhook,
  type WebhookEvent,
  type WebhookPayload,
} from './endpoints.ts'
export {
  type Environment,
  type EnvironmentContent,
  type EnvironmentLimits,
  type EnvironmentPatch,
  type EnvironmentReference,
  environment,
  environmentContent,
  environmentCreate,
  environmentPage,
  environmentProblems,
  environmentUpdate,
  type Networking,
  overridden,
  patchEnvironment,
  type SandboxOverrides,
  widened,
} from './environments.ts'
export {
  type ErrorBody,
  type ErrorType,
  errorBody,
  type FieldError,
  fieldErrors,
} from './errors.ts'
export {
  eventPage,
  eventPageDefault,
  eventPageMax,
  eventSearch,
  eventType,
  type SessionEvent,
  seqParam,
  sessionEvent,
} from './events.ts'
export {
  type ApiKey,
  apiKey,
  type KeyUpdate,
  keyCreate,
  keyMade,
  keyName,
  keyPage,
  keyScopes,
  keyUpdate,
  type Scope,
} from './keys.ts'
export { type Message, type MessageMode, message, messageCreate } from './messages.ts'
export {
  type CommitIdentity,
  type GivenOrder,
  type OrderPolicy,
  type Priority,
  priority,
  type TaskOrder,
  type TaskType,
  taskType,
  timeLimitMinutesDefault,
} from './orders.ts'
export type { PullRequestOptions } from './pull-requests.ts'
export {
  type CompletedReason,
  completedReason,
  type FailedReason,
  failedReason,
  type PendingReason,
  pendingReason,
  type Reason,
  type ReasonText,
  type RunningReason,
  reason,
  reasons,
  runningReason,
  type TaskStatus,
  taskStatus,
} from './reasons.ts'
export { parseRepoUrl, type RepoUrl, repoUrlField } from './repo-url.ts'
export {
  type NewRepository,
  type Repository,
  type RepositorySettings,
  repository,
  repositoryCreate,
  repositoryDeleted,
  repositoryPage,
  repositoryUpdate,
  type SettingsPatch,
} from './repositories.ts'
export {
  type CheckResult,
  type Commit,
  checkResult,
  type TaskError,
  type TaskResult,
  taskError,
  taskResult,
  type Usage,
  usage,
} from './results.ts'
export {
  type Gap,
  type Isolation,
  type SandboxReport,
  type SandboxTool,
  sandboxReport,
} from './sandbox.ts'
export {
  type CatchUp,
  type FireState,
  nextFiresShown,
  type Overlap,
  type Schedule,
  type ScheduleContent,
  type ScheduleFire,
  type SchedulePatch,
  schedule,
  scheduleCreate,
  scheduleDeleted,
  scheduleFire,
  scheduleFirePage,
  schedulePage,
  scheduleUpdate,
} from './schedules.ts'
export {
  type Session,
  type SessionFilter,
  type SessionStatus,
  session,
  sessionCursor,
  sessionDeleted,
  sessionPage,
  sessionQuery,
} from './sessions.ts'
export { deltaType, type SocketAnswer, type SocketMessage, socketMessage } from './socket.ts'
export {
  type Range,
  type TaskFilter,
  type TaskQuery,
  taskCursor,
  taskQuery,
  workflowQuery,
} from './task-filter.ts'
export { editedOrder, taskRetry } from './task-retry.ts'
export {
  type Task,
  type TaskCreate,
  task,
  taskCreateOrder,
  taskDeleted,
  taskPage,
} from './tasks.ts'
export { isUnsupported } from './unsupported.ts'
export {
  type SessionWebhookBody,
  type TaskWebhookBody,
  type TestWebhookBody,
  type WebhookAbout,
  webhookHeaders,
  webhooks,
} from './webhooks.ts'
export { type Worker, worker, workerDrain, workerPage } from './workers.ts'
export {
  type Workflow,
  type WorkflowCreate,
  type WorkflowResult,
  workflow,
  workflowCreateOrder,
  workflowPage,
} from './workflows.ts'
