import type {
  AgentContent,
  ApprovalAnswer,
  ApprovalKind,
  ApprovalRequest,
  ApprovalStatus,
  CatchUp,
  EnvironmentContent,
  FireState,
  MessageMode,
  OnDeadline,
  Overlap,
  Priority,
  Reason,
  RepositorySettings,
  SessionStatus,
  TaskError,
  TaskOrder,
  TaskResult,
  TaskStatus,
  TaskType,
  Usage,
} from '@longhaul/client/contract'
import type { ColumnType, Generated, Kysely, Selectable, Transaction } from 'kysely'
import type { CheckpointChunks, Checkpoints } from './checkpoint-tables.ts'
import type { Json, JsonDefault, Optional, OptionalJson } from './columns.ts'
import type { Deliveries, DeliveryTries, Endpoints } from './delivery-tables.ts'
import type { Workers } from './worker-table.ts'

/** The database, or a transaction in it: every statement takes either. */
export type Db = Kysely<Tables>
/** A transaction, where a statement makes no sense alone. */
export type Trx = Transaction<Tables>

export type JsonObject = Readonly<Record<string, unknown>>

interface Keys {
  id: string
  /** SHA-256 of the key, in hex. The key itself is never stored. */
  hash: string
  name: string
  scopes: string[]
  limits: ColumnType<KeyLimits, string | undefined, string>
  created_by: Optional<string>
  created_at: Date
  last_used_at: Optional<Date>
  revoked_at: Optional<Date>
}

/** Absent: what the server's settings say. */
export interface KeyLimits {
  /** US dollars in a day of UTC. */
  readonly day_budget_usd?: number
  /** Tasks that run at once. */
  readonly concurrency?: number
}

interface KeySpending {
  key_id: string
  /** A day of UTC. */
  day: string
  spent_usd: Generated<number>
}

/** The most that a model request under way can cost its key. */
interface KeyReservations {
  id: string
  key_id: string
  session_id: string
  /** That of the session when it asked; one of an earlier attempt counts no more. */
  attempt: number
  worst_usd: number
  created_at: Date
}

interface Sessions {
  id: string
  status: SessionStatus
  conversation_id: string
  agent: Json<JsonObject>
  environment: Json<JsonObject>
  /** The node that ran it last; its workspace is there. */
  node: Optional<string>
  /** Chooses the host uid on that node, from 1; nobody else's until it is released. */
  slot: Optional<number>
  /** Since when its directory holds work that is nowhere else. */
  kept_at: Optional<Date>
  /** Fences every write of a worker: the number of the newest claim. */
  attempt: Generated<number>
  /** The number of the newest event. */
  last_seq: Generated<number>
  usage: JsonDefault<Partial<Usage>>
  cost_usd: Generated<number>
  /** Names what was added to the two last. */
  last_usage_id: Optional<string>
  created_by: Optional<string>
  created_at: Date
  updated_at: Date
  archived_at: Optional<Date>
  /** Since when its transcript and artifacts are being removed: it does not go on with what is left of them. */
  recordings_removed_at: Optional<Date>
  /** Nobody's any more: a row that only holds its slot until its files are gone. */
  deleted_at: Optional<Date>
}

interface Agents {
  id: string
  /** Of the seeded one of a type. */
  task_type: Optional<TaskType>
  /** The newest. */
  version: number
  created_at: Date
  archived_at: Optional<Date>
}

interface AgentVersions {
  agent_id: string
  version: number
  content: Json<AgentContent>
  created_by: Optional<string>
  created_at: Date
}

interface Environments {
  id: string
  /** Of the seeded one, which tasks have that name none. */
  is_default: boolean
  /** The newest. */
  version: number
  created_at: Date
  archived_at: Optional<Date>
}

interface EnvironmentVersions {
  environment_id: string
  version: number
  content: Json<EnvironmentContent>
  created_by: Optional<string>
  created_at: Date
}

interface Tasks {
  id: string
  session_id: string
  type: TaskType
  priority: Priority
  status: TaskStatus
  reason: Reason
  message: Optional<string>
  order: Json<TaskOrder>
  progress: JsonDefault<JsonObject>
  result: OptionalJson<TaskResult>
  error: OptionalJson<TaskError>
  cancel_requested_at: Optional<Date>
  /** The task that it repeats; perhaps deleted meanwhile. */
  retry_of: Optional<string>
  created_by: Optional<string>
  created_at: Date
  started_at: Optional<Date>
  completed_at: Optional<Date>
  /** How often a message reopened it. */
  reopened: Generated<number>
  /** Since when it is parked; null: it is not. */
  parked_at: Optional<Date>
  /** Milliseconds that it was parked since it started, up to `parked_at`. */
  parked_ms: Generated<number>
  /** When a parked task goes on by itself. */
  wake_at: Optional<Date>
  /** That is a moment which somebody named: it stays when the date of a host is set. */
  wake_is_date: Generated<boolean>
}

interface Approvals {
  id: string
  task_id: string
  session_id: string
  kind: ApprovalKind
  status: ColumnType<ApprovalStatus, ApprovalStatus | undefined, ApprovalStatus>
  request: Json<ApprovalRequest>
  answer: OptionalJson<ApprovalAnswer>
  /** The call that waits for it, by the model's id. */
  tool_use_id: Optional<string>
  on_deadline: OnDeadline
  deadline_at: Date
  created_at: Date
  answered_at: Optional<Date>
  answered_by: Optional<string>
}

interface Messages {
  /** Of its `user.message` event. */
  id: string
  session_id: string
  /** Number of that event: messages are read in this order. */
  seq: number
  mode: MessageMode
  text: string
  /** Of its `user.interrupt` event. */
  interrupt_id: Optional<string>
  created_by: Optional<string>
  created_at: Date
  /** When the conversation had it; null while it waits. */
  processed_at: Optional<Date>
}

interface Events {
  session_id: string
  seq: number
  id: string
  type: string
  thread_id: Optional<string>
  attempt: Optional<number>
  payload: Json<JsonObject>
  created_at: Date
}

interface Artifacts {
  id: string
  session_id: string
  attempt: Optional<number>
  name: string
  content_type: string
  bytes: number
  created_by: Optional<string>
  created_at: Date
}

interface ArtifactChunks {
  artifact_id: string
  n: number
  data: Buffer
}

interface Diffs {
  session_id: string
  attempt: number
  base_commit: string
  commit: string
  patch: Buffer
  /** JSON text in the form of the API. */
  body: Buffer
  created_at: Date
}

interface TranscriptEntries {
  position: Generated<number>
  session_id: string
  attempt: number
  project_key: string
  conversation_id: string
  subpath: string
  uuid: Optional<string>
  entry: Json<unknown>
}

interface IdempotencyKeys {
  /** The caller's API key. */
  key_id: string
  /** Method and path. */
  route: string
  key: string
  request_hash: string
  /** The task that it made or belongs to. */
  task_id: string | null
  location: string | null
  /** JSON text, answered again as it is; null: its task was deleted. */
  response: string | null
  created_at: Date
}

interface Repositories {
  id: string
  /** Normal form of `parseRepoUrl`; unique without case. */
  url: string
  settings: Json<RepositorySettings>
  created_by: Optional<string>
  created_at: Date
  updated_at: Date
}

interface Schedules {
  id: string
  name: string
  cron: string
  time_zone: string
  /** The body of `POST /v1/tasks`. */
  order: Json<JsonObject>
  overlap: Overlap
  catch_up: CatchUp
  jitter_seconds: number
  paused: boolean
  /** When it fires: `next_scheduled_at` and its jitter; null: paused, or never again. */
  next_at: Optional<Date>
  next_scheduled_at: Optional<Date>
  created_by: Optional<string>
  created_at: Date
  updated_at: Date
}

interface ScheduleFires {
  schedule_id: string
  scheduled_at: Date
  is_manual: Generated<boolean>
  fired_at: Date
  state: FireState
  message: Optional<string>
  task_id: Optional<string>
}

interface Audit {
  id: string
  /** Of its row, in the order of storing. */
  position: Generated<number>
  writer: string
  /** Of the writer, dense from 1. */
  seq: number
  /** Hash of the writer's entry before; of the first, 64 zeros. */
  prev_hash: string
  hash: string
  at: Date
  session_id: Optional<string>
  kind: string
  entry: Json<JsonObject>
}

interface Settings {
  name: string
  value: string
}

export interface Tables {
  agents: Agents
  approvals: Approvals
  agent_versions: AgentVersions
  environments: Environments
  environment_versions: EnvironmentVersions
  keys: Keys
  key_spending: KeySpending
  key_reservations: KeyReservations
  sessions: Sessions
  tasks: Tasks
  messages: Messages
  events: Events
  artifacts: Artifacts
  artifact_chunks: ArtifactChunks
  checkpoints: Checkpoints
  checkpoint_chunks: CheckpointChunks
  diffs: Diffs
  transcript_entries: TranscriptEntries
  deliveries: Deliveries
  delivery_tries: DeliveryTries
  endpoints: Endpoints
  idempotency_keys: IdempotencyKeys
  repositories: Repositories
  workers: Workers
  schedules: Schedules
  schedule_fires: ScheduleFires
  audit: Audit
  settings: Settings
}

export type ApprovalRow = Selectable<Approvals>
export type KeyRow = Selectable<Keys>
export type ScheduleRow = Selectable<Schedules>
export type ScheduleFireRow = Selectable<ScheduleFires>
export type SessionRow = Selectable<Sessions>
export type TaskRow = Selectable<Tasks>
export type MessageRow = Selectable<Messages>
export type EventRow = Selectable<Events>
export type ArtifactRow = Selectable<Artifacts>
export type DiffRow = Selectable<Diffs>
export type DeliveryRow = Selectable<Deliveries>
export type DeliveryTryRow = Selectable<DeliveryTries>
export type EndpointRow = Selectable<Endpoints>
export type IdempotencyRow = Selectable<IdempotencyKeys>
export type AuditRow = Selectable<Audit>
export type RepositoryRow = Selectable<Repositories>
