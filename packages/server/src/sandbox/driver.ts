import type { Readable, Writable } from 'node:stream'
import type { SandboxReport } from '@longhaul/client/contract'
import type { DiskCause, Exhausted, LimitHits } from './limits/hits.ts'

/**
 * The walls around everything an agent runs. A driver opens one sandbox a session; every git
 * command, check and file read of a workspace goes through it, because the server itself never
 * runs anything there and never follows a path below it.
 */
export interface SandboxDriver {
  readonly name: 'bubblewrap' | 'none'
  /** Runs a real sandbox and its self-test; a failing host is a report, never a rejection. */
  probe(signal: AbortSignal): Promise<SandboxReport>
  /**
   * Makes the session's directories and ends what an earlier server left running in them.
   * Idempotent, so it serves a first attempt and one after a crash alike. Rejects when the
   * directory cannot be used; the error's sentence says why.
   */
  open(spec: SandboxSpec): Promise<Sandbox>
  /**
   * Puts away what a server that was killed left open of its sessions, once at the start. Only for
   * who holds the lock of the data directory.
   */
  recover(): Promise<void>
  /**
   * The slot that owns what is in a session's directory, which nobody uses; null: any will do. Rejects
   * when it is the files of no slot.
   */
  slotOf(directory: string): Promise<number | null>
  /** Removes what servers of this host that were killed left and nobody uses: control groups. */
  clearUp(): Promise<void>
}

/** What all processes of a session together may take, but for the last three, which say of what. */
export interface SandboxLimits {
  /** Resident memory and page cache that cannot be given up; there is no swap. */
  readonly memoryBytes: number
  /** Processors' worth of time, fractions included. */
  readonly cpus: number
  /** Processes and threads. */
  readonly processes: number
  /** Descriptors of one process. */
  readonly openFiles: number
  /** Of one file. */
  readonly fileBytes: number
  /** Of its /tmp, which is beside the other files. */
  readonly tmpBytes: number
  /** Of all its other files: the clone, packages, caches. */
  readonly diskBytes: number
}

/** What a session takes now, and took since it was opened; null: not known on this host. */
export interface SandboxUsage {
  readonly cpuSeconds: number | null
  readonly memoryBytes: number | null
  readonly memoryPeakBytes: number | null
  /** Processes and threads that live now. */
  readonly processes: number | null
  /** Of its files, as last seen. */
  readonly diskBytes: number | null
}

/** What a session's sandbox is made of. */
export interface SandboxSpec {
  readonly sessionId: string
  /** Absolute, `<dataDir>/sessions/<session id>`, or `<dataDir>/repositories/<name>` of the shared slot. */
  readonly directory: string
  /**
   * 1 to 998, unique among the living sessions of this node; below a root server it makes the uid,
   * with the server's `UidRange`. 999 is shared.
   */
  readonly slot: number
  /** `defaultLimits` where nothing narrows them. */
  readonly limits: SandboxLimits
  /** Extra variables inside; never a secret, every process inside can read them. */
  readonly env: Readonly<Record<string, string>>
  /** Variables that hold the URL of a path of the gateway's, where it can be reached. Absent: none. */
  readonly routes?: Readonly<Record<string, string>>
  /** URL prefixes that git inside rewrites to the gateway, e.g. `https://github.com/`. */
  readonly gitRewrite: readonly { readonly from: string }[]
  /** Who commits, unless a command of git's says otherwise; absent: a placeholder. */
  readonly committer?: { readonly name: string; readonly email: string } | undefined
  /** Directories of the shared slot that every process sees, read-only, at their own paths. */
  readonly shown?: readonly string[]
  /** What `SpawnOptions.show` may name: directories of the shared slot, repositories among them. */
  readonly shared?: readonly string[]
}

/** One session's walls, open. Disposing ends its processes and keeps its files. */
export interface Sandbox extends AsyncDisposable {
  readonly paths: SandboxPaths
  /** The gateway's address inside. */
  readonly gatewayUrl: string
  /** The claude binary's path inside. */
  readonly claudePath: string
  /** The path inside of the node that runs this server, for scripts of the server's own. */
  readonly nodePath: string
  /** Host uid of what runs inside, for chown of the gateway's socket; null: the server's own. */
  readonly uid: number | null
  /** Starts a process that lives until it ends or is killed. Throws once destroyed. */
  spawn(command: readonly string[], o: SpawnOptions): SandboxProcess
  /**
   * Runs a command to its end. A command that fails, is missing (127) or times out is a result.
   * Rejects with the signal's reason after an abort, and with an Error when the sandbox itself
   * could not start. Nothing that the command started is left when it settles.
   */
  exec(command: readonly string[], o: ExecOptions): Promise<ExecResult>
  /** What its session may take. */
  readonly limits: SandboxLimits
  /** What it takes; of one that was closed, what it took. */
  usage(): Promise<SandboxUsage>
  /** How often each limit was hit since it was opened. */
  limitHits(): LimitHits
  /** Why its disk was found full the last time. */
  diskCause(): DiskCause
  /** The limit that was hit since it was opened or, given a count, since then; null: none. */
  exhausted(since?: LimitHits): Exhausted | null
  /** Ends every process of this sandbox by SIGKILL; all are gone when it resolves, within 5 s. */
  killAll(): Promise<void>
  /** `killAll`, then removes the directory tree; symbolic links are removed, never followed. */
  destroy(): Promise<void>
}

/** A session's directories: the same absolute paths on the host and inside. */
export interface SandboxPaths {
  readonly root: string
  readonly workspace: string
  readonly home: string
  /** The home as set-up left it. */
  readonly keptHome: string
  /** The home of the checks. */
  readonly checksHome: string
  readonly config: string
  readonly tmp: string
  /** Where the gateway listens: `<root>/sock/gateway`. */
  readonly gatewaySocket: string
}

export interface SpawnOptions {
  /** Working directory inside; default the workspace. */
  readonly cwd?: string
  /** Variables of this process, over those of the sandbox; never a secret. */
  readonly env?: Readonly<Record<string, string>>
  /** Whether the gateway can be reached; without it there is only an empty loopback. */
  readonly network: boolean
  /**
   * Whose files the home directory shows: the agent's (the default), or those of the checks, which
   * nothing of the agent's ever sees. `all`: the agent's, and the other two in their own places.
   */
  readonly home?: 'agent' | 'checks' | 'all'
  /** Directories of the shared slot that this process alone sees, read-only, at their own paths. */
  readonly show?: readonly string[]
}

export interface ExecOptions extends SpawnOptions {
  readonly input?: string | Buffer
  readonly timeoutMs: number
  /** Bound of what is kept of each of the two streams: its first quarter and its last rest. */
  readonly outputBytesMax: number
  readonly signal: AbortSignal
  /** Every chunk of both streams as it comes, beyond the bound too. Must not throw. */
  readonly onOutput?: (chunk: Buffer) => void
}

export interface ExecResult {
  /** Null when killed; a command that died of a signal inside counts 128 + its number. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  /** Whether either stream lost its middle to the bound. */
  readonly truncated: boolean
  readonly timedOut: boolean
  readonly durationMs: number
}

/** A process inside, with pipes to the server; it fits the Agent SDK's `SpawnedProcess`. */
export interface SandboxProcess {
  readonly pid?: number | undefined
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly killed: boolean
  readonly exitCode: number | null
  readonly signalCode: NodeJS.Signals | null
  /** Any signal that ends it ends everything it started; there is no grace inside. */
  kill(signal: NodeJS.Signals): boolean
  on(event: 'exit', listener: ExitListener): void
  on(event: 'error', listener: (error: Error) => void): void
  once(event: 'exit', listener: ExitListener): void
  once(event: 'error', listener: (error: Error) => void): void
  off(event: 'exit', listener: ExitListener): void
  off(event: 'error', listener: (error: Error) => void): void
}

type ExitListener = (code: number | null, signal: NodeJS.Signals | null) => void
