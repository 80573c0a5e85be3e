import { type Query, query, type SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import type { Agent, AgentOptions, Said } from './agent.ts'
import { classifyExit } from './classify.ts'
import { Input } from './input.ts'
import { MessageMap } from './messages.ts'
import { afterToolHooks, agentEnv, profileOptions } from './options.ts'
import { AgentOutput } from './output.ts'
import { Permissions } from './permissions.ts'
import { AgentProcess } from './process.ts'
import { turnEndEvents } from './session-error.ts'
import { mcpServersOf } from './tools/custom/mcp.ts'
import { toolServerName } from './tools/names.ts'
import { toolServer } from './tools/server.ts'
import { Turns } from './turn.ts'
import type { TurnEnd, TurnFailed } from './turn-end.ts'

/** Control requests have no timeout of their own. */
const controlMsMax = 5000
/** The CLI gets this long to end by itself, of the five seconds that closing may take. */
const exitMsMax = 3500
const killMsMax = 1000
/** A call that waited is made within a second of the start on a calm machine. */
const beginMsMax = 30_000
/** What a process said before it was killed is taken within this. */
const hearMsMax = 3000

/** The process of `openAgent`, started by the constructor. */
export class RunningAgent implements Agent {
  readonly resumed: boolean
  readonly #o: AgentOptions
  readonly #input = new Input()
  readonly #output = new AgentOutput({ onTooLong: () => this.#cutShort(tooLong) })
  readonly #process: AgentProcess
  readonly #query: Query
  readonly #messages: MessageMap
  readonly #turns: Turns
  /** Ends the calls of its tools. */
  readonly #calls = new AbortController()
  /** Why no turn can begin any more. */
  #gone: TurnFailed | null = null
  #closing: Promise<void> | null = null
  /** Settles when all that the process said is heard. */
  readonly #following: Promise<void>
  readonly #onAbort = (): void => void this.close()

  constructor(o: AgentOptions, resumed: boolean) {
    this.#o = o
    this.resumed = resumed
    this.#process = new AgentProcess(o.sandbox, this.#output)
    const permissions = new Permissions(o.permission)
    this.#messages = new MessageMap({ ...o, access: (name) => permissions.access(name) })
    this.#turns = new Turns({
      ...o,
      controls: { stopTask: (id) => this.#control('stop_task', () => this.#query.stopTask(id)) },
    })
    this.#query = query({
      prompt: this.#input,
      options: {
        ...profileOptions(o.profile),
        ...permissions.options(),
        hooks: { ...permissions.hooks(), ...afterToolHooks(o.afterTool) },
        mcpServers: {
          ...mcpServersOf(o.toolbox.servers, o.sandbox.gatewayUrl),
          [toolServerName]: toolServer({ ...o, ...o.toolbox, signal: this.#calls.signal }),
        },
        ...(resumed ? { resume: o.conversationId } : { sessionId: o.conversationId }),
        cwd: o.sandbox.paths.workspace,
        env: agentEnv({ ...o, remainingMs: o.deadline - o.clock.elapsed() }),
        pathToClaudeCodeExecutable: o.sandbox.claudePath,
        spawnClaudeCodeProcess: this.#process.spawn,
        sessionStore: o.transcript.sdkStore(),
        sessionStoreFlush: 'eager',
      },
    })
    this.#following = this.#follow()
    o.signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  async turn(given: string | Said): Promise<TurnEnd> {
    if (this.#gone !== null) return this.#gone
    const said = typeof given === 'string' ? { parts: [given] } : given
    return this.#turn(() => this.#send(said))
  }

  async goOn(): Promise<TurnEnd | null> {
    if (this.#gone !== null) return this.#gone
    if (!this.resumed) return null
    let isSilent = false
    // The CLI begins by itself when a call waits, and does nothing at all when none does.
    using _ = this.#o.clock.after(beginMsMax, () => {
      isSilent = !this.#turns.hasBegun
      if (isSilent) this.#turns.end(nothingWaits)
    })
    const end = await this.#turn(() => undefined)
    return isSilent ? null : end
  }

  /** One turn, which `begin` sets off. */
  async #turn(begin: () => void): Promise<TurnEnd> {
    const ended = this.#turns.begin()
    await this.#o.emit({ type: 'session.status_running' })
    begin()
    const end = await ended
    // Who closes an agent in the middle of a turn knows better what becomes of the session.
    if (end !== closed) for (const event of turnEndEvents(end)) await this.#o.emit(event)
    // A process that is silent, or whose time is up, is not asked again.
    if (end.kind === 'failed' && ['stalled', 'timed_out'].includes(end.reason))
      await this.#abort(end)
    return end
  }

  say(said: Said): boolean {
    if (this.#gone !== null || !this.#turns.isOpen) return false
    this.#send(said)
    return true
  }

  async interrupt(): Promise<void> {
    await this.#control('interrupt', () => this.#query.interrupt())
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #send(said: Said): void {
    if (said.uuid !== undefined) this.#turns.said(said.uuid)
    this.#input.send(said)
  }

  async #abort(end: TurnFailed): Promise<void> {
    this.#gone ??= end
    await this.interrupt()
    await this.close()
  }

  async #close(): Promise<void> {
    this.#o.signal.removeEventListener('abort', this.#onAbort)
    this.#calls.abort(new Error('the agent was closed'))
    const working = this.#turns.isOpen
    this.#end(closed)
    if (working) await this.#cutOff()
    this.#input.end()
    this.#query.close()
    if ((await this.#process.exit(exitMsMax, this.#o.clock)) === null) {
      this.#process.kill()
      await this.#process.exit(killMsMax, this.#o.clock)
    }
    this.#process.discard()
  }

  /**
   * Ends the process in the middle of its work, then hears it out. Asked to close, it would work on
   * for the seconds that the SDK gives it, and nothing of that would be in the log.
   */
  async #cutOff(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    using _ = this.#o.clock.after(hearMsMax, resolve)
    await this.#o.sandbox.killAll()
    await Promise.race([this.#following, late])
  }

  /** Reads what the process says until it ends, however it ends. */
  async #follow(): Promise<void> {
    try {
      for await (const message of this.#query) await this.#hear(message)
    } catch (error) {
      this.#o.log.debug({ err: error, sessionId: this.#o.sessionId }, 'the agent process ended')
    }
    const exit = await this.#process.exit(killMsMax, this.#o.clock)
    this.#calls.abort(new Error('the agent process ended'))
    this.#end(classifyExit(exit ?? { code: null, signal: null, stderr: '' }))
  }

  /** Resolves once all of it is taken: the next message, and in the end the process, waits for that. */
  async #hear(message: SDKMessage): Promise<void> {
    const { log, sessionId, transcript, emit, delta } = this.#o
    if (this.#output.isMark(message)) {
      await transcript.settled()
      return this.#output.letIn()
    }
    if (message.type === 'system' && message.subtype === 'mirror_error') {
      log.error({ sessionId, error: message.error }, 'the transcript could not be stored')
      this.#cutShort(notStored)
    }
    const { events, deltas } = this.#messages.map(message)
    for (const event of events) await emit(event)
    for (const event of deltas) delta(event)
    this.#turns.heard(message)
  }

  /** Ends the process at once, in the middle of whatever it does. */
  #cutShort(end: TurnFailed): void {
    this.#end(end)
    this.#process.kill()
  }

  #end(reason: TurnFailed): void {
    this.#gone ??= reason
    this.#turns.end(reason)
  }

  /** A control request, bounded; one that fails or is not answered is only logged. */
  async #control(name: string, request: () => Promise<unknown>): Promise<void> {
    const { clock, log, sessionId } = this.#o
    const { promise: late, reject } = Promise.withResolvers<never>()
    using _ = clock.after(controlMsMax, () => reject(new Error(`${name}: no answer`)))
    try {
      await Promise.race([request(), late])
    } catch (error) {
      log.warn({ err: error, sessionId, control: name }, 'the agent did not obey')
    }
  }
}

const closed: TurnFailed = {
  kind: 'failed',
  reason: 'cancelled',
  message: 'The agent was closed.',
  retry: 'never',
}

const nothingWaits: TurnEnd = { kind: 'finished', text: '' }

/**
 * What the SDK dropped is never stored by this process, and so its next request is never let out:
 * the process after it takes the entries from the disk.
 */
const notStored: TurnFailed = {
  kind: 'failed',
  reason: 'agent_error',
  message: 'The conversation could not be stored.',
  retry: 'later',
}

const tooLong: TurnFailed = {
  kind: 'failed',
  reason: 'agent_error',
  message: 'The agent said more than 32 MiB in one message, which was refused.',
  retry: 'never',
}
