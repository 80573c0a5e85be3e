import type {
  AgentContent,
  AgentPatch,
  AgentPolicy,
  ApprovalAnswer,
  EndpointPatch,
  EnvironmentContent,
  EnvironmentPatch,
  GivenOrder,
  NewEndpoint,
  NewRepository,
  OrderPolicy,
  SandboxReport,
  ScheduleContent,
  SchedulePatch,
  ServerAlert,
  SettingsPatch,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { AgentRow } from '../store/agents.ts'
import type { EnvironmentRow } from '../store/environments.ts'
import type { Store } from '../store/open.ts'
import type {
  EndpointRow,
  RepositoryRow,
  ScheduleFireRow,
  ScheduleRow,
  TaskRow,
  Trx,
} from '../store/tables.ts'
import type { Answered } from '../tasks/answer.ts'
import type { MessageSent, Saying } from '../tasks/messages.ts'
import type { App } from './env.ts'

/** What the routes need that every process has, one without an API too. */
export interface ProbeDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Takes secrets out of what an error says; absent: none is known. */
  readonly scrubber?: Scrubber
  readonly metrics: Metrics
  /** Brings up to date what all nodes share: the queue and the outbox. */
  readonly measureStore: () => Promise<void>
  /** The server's version, for `/health` and the OpenAPI document. */
  readonly version: string
  readonly health: {
    readonly queueReady: () => boolean
    /** What the sandbox driver's last probe said; null: there are no sandboxes in this process. */
    readonly sandbox: () => SandboxReport | null
    readonly modelConfigured: boolean
    /** What is wrong now. */
    readonly alerts: () => readonly ServerAlert[]
    /** What the disk of the data directory has left. */
    readonly disk: () => Promise<{
      readonly freeBytes: number | null
      readonly floorBytes: number
      readonly problem: string | null
    }>
    /** What memory is free; null: this process runs no tasks. */
    readonly memory: () => {
      readonly freeBytes: number
      readonly floorBytes: number
      readonly problem: string | null
    } | null
  }
}

/** What the routes work with. */
export interface AppDeps extends ProbeDeps {
  readonly tasks: {
    /** Which orders this server takes, beyond their form. */
    readonly policy: OrderPolicy
    readonly create: (
      trx: Trx,
      order: GivenOrder,
      caller: Caller,
      o?: { readonly retryOf: string },
    ) => Promise<TaskRow>
    /** The task as it is now, unchanged if it had ended; undefined: there is none. */
    readonly cancel: (id: string, caller: Caller) => Promise<TaskRow | undefined>
    /** The task as it was, or as it still is when it has not ended; undefined: there is none. */
    readonly delete: (id: string) => Promise<TaskRow | undefined>
    /** Undefined: there is no such approval of this task. */
    readonly answer: (
      trx: Trx,
      o: {
        readonly taskId: string
        readonly id: string
        readonly answer: ApprovalAnswer
        readonly caller: Caller
      },
    ) => Promise<Answered | undefined>
    /** Undefined: there is no such task. */
    readonly say: (trx: Trx, o: Saying) => Promise<MessageSent | undefined>
  }
  readonly agents: {
    /** Which tools there are. */
    readonly policy: AgentPolicy
    readonly create: (trx: Trx, content: AgentContent, caller: Caller) => Promise<AgentRow>
    /** Undefined: there is no such agent. */
    readonly change: (
      o: { readonly id: string; readonly version: number | null; readonly patch: AgentPatch },
      caller: Caller,
    ) => Promise<AgentRow | undefined>
    /** Undefined: there is no such agent. */
    readonly archive: (id: string) => Promise<AgentRow | undefined>
  }
  readonly environments: {
    readonly create: (
      trx: Trx,
      content: EnvironmentContent,
      caller: Caller,
    ) => Promise<EnvironmentRow>
    /** Undefined: there is no such environment. */
    readonly change: (
      o: { readonly id: string; readonly version: number | null; readonly patch: EnvironmentPatch },
      caller: Caller,
    ) => Promise<EnvironmentRow | undefined>
    /** Undefined: there is no such environment. */
    readonly archive: (id: string) => Promise<EnvironmentRow | undefined>
  }
  readonly schedules: {
    readonly create: (trx: Trx, content: ScheduleContent, caller: Caller) => Promise<ScheduleRow>
    /** Undefined: there is no such schedule. */
    readonly change: (o: {
      readonly id: string
      readonly patch: SchedulePatch
      readonly caller: Caller
    }) => Promise<ScheduleRow | undefined>
    /** Undefined: there is no such schedule. */
    readonly fireNow: (
      trx: Trx,
      o: { readonly id: string; readonly caller: Caller },
    ) => Promise<ScheduleFireRow | undefined>
  }
  readonly repositories: {
    /** Undefined: it has settings already. */
    readonly create: (
      trx: Trx,
      given: NewRepository,
      caller: Caller,
    ) => Promise<RepositoryRow | undefined>
    /** Undefined: there is no such repository. */
    readonly change: (id: string, patch: SettingsPatch) => Promise<RepositoryRow | undefined>
  }
  readonly endpoints: {
    /** Why a receiver cannot be taken, from where its name leads now; null: it can. */
    readonly problem: (url: URL) => Promise<string | null>
    /** Undefined: the caller has as many as it may. */
    readonly create: (
      trx: Trx,
      given: NewEndpoint,
      caller: Caller,
    ) => Promise<EndpointRow | undefined>
    /** Undefined: there is no such endpoint. */
    readonly change: (id: string, patch: EndpointPatch) => Promise<EndpointRow | undefined>
    /** Undefined: there is no such endpoint. */
    readonly rotate: (id: string) => Promise<EndpointRow | undefined>
    /** From now on a secret that was just made is said nowhere else. */
    readonly hideSecrets: () => Promise<void>
    /** The id of the delivery that was written. */
    readonly test: (endpoint: EndpointRow, caller: Caller) => Promise<string>
  }
  /** Routes of other rooms, mounted behind authentication and with the same errors. */
  readonly mount?: (app: App) => void
}
