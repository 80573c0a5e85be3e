import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import type { Log } from '../log.ts'
import type { Sandbox } from '../sandbox/driver.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { AgentProfile } from './options.ts'
import type { Permission } from './permissions.ts'
import type { Toolbox } from './tools/server.ts'
import type { Transcript } from './transcript.ts'
import type { TurnEnd } from './turn-end.ts'

/** One message to an agent. */
export interface Said {
  /** Its texts, in order. */
  readonly parts: readonly string[]
  /** A UUID, by which the transcript names the message: see `Transcript.has`. */
  readonly uuid?: string
}

/** One agent at work in a sandbox: a process and its conversation. Disposing closes it. */
export interface Agent extends AsyncDisposable {
  /** Whether it goes on with a conversation of an earlier attempt, which may have been cut off. */
  readonly resumed: boolean
  /**
   * Sends one user message and resolves when all the work that it set off has ended, in the
   * background too. Every way to end is a value. One turn at a time: throws while one is open.
   */
  turn(said: string | Said): Promise<TurnEnd>
  /**
   * Goes on with the call that the conversation was parked for, as `permission` has it decided by now.
   * A turn like any other, in which nothing is said at first; null: no call waited.
   */
  goOn(): Promise<TurnEnd | null>
  /**
   * Says something in the open turn: the agent reads it after the tool calls that run now, and the
   * turn is not over before it has. False when no turn is open: nothing was said.
   */
  say(said: Said): boolean
  /** Cuts the open turn off, within 5 s; it ends as cancelled. The agent can take another one. */
  interrupt(): Promise<void>
  /** Ends the process within 5 s; an open turn ends as cancelled. Idempotent. */
  close(): Promise<void>
}

export interface AgentOptions {
  readonly sandbox: Sandbox
  readonly sessionId: string
  /** A UUID; the same in every attempt. */
  readonly conversationId: string
  readonly profile: AgentProfile
  readonly permission: Permission
  /** The typed tools that it has beside those of its profile. */
  readonly toolbox: Toolbox
  readonly transcript: Transcript
  /** Bash's default timeout; a command that outlives it goes on in the background. */
  readonly bashTimeoutMs: number
  /** When the task's time is up, as `Clock.elapsed` counts. */
  readonly deadline: number
  /**
   * An entry for the log. Until it resolves, the agent's next message waits, and at last its process.
   * Must not reject.
   */
  readonly emit: (event: NewEvent) => Promise<void>
  /** A live preview, for who watches right now. */
  readonly delta: (event: NewEvent) => void
  /** Takes secrets out of deltas; absent: none is known. */
  readonly scrubber?: Scrubber
  /**
   * Asked after every call of a tool: a sentence about what happened to its surroundings meanwhile,
   * which the model reads with the call's result; null: nothing did.
   */
  readonly afterTool: () => string | null
  /** Silence after which a working agent counts as dead. */
  readonly stallMs: number
  readonly clock: Clock
  readonly log: Log
  /** Closes the agent. */
  readonly signal: AbortSignal
}
