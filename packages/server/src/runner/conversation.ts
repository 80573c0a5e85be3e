import type { Agent, TurnEnd } from '../agent/open.ts'
import { CodeParser } from '../agent/tools/code/parser.ts'
import { readEvents } from '../events/read.ts'
import { getSession } from '../store/sessions.ts'
import { continuePrompt, orderPrompt, roundFailedPrompt } from '../tasks/prompts.ts'
import { openAgentOf } from './open-agent.ts'
import type { Attempt } from './phase.ts'

/** A model that answers 429 or 5xx, or a process that dies, is tried again for this long. */
const retryMsMax = 10 * 60_000
const retryWaitMs = { first: 5000, max: 60_000 } as const
/** Events that are looked through, from the end, for calls that were cut off. */
const cutOffEventsMax = 200

/** The attempt's side of the agent's conversation: one process, from the first turn to the last. */
export class Conversation implements AsyncDisposable {
  readonly #attempt: Attempt
  /** The attempt's own: what one repository does to its parser is no other one's trouble. */
  readonly #parser: CodeParser
  #agent: Agent | null = null
  /** Closed by us after a finished turn: the next message is about checks, not about a crash. */
  #rested = false

  constructor(attempt: Attempt) {
    this.#attempt = attempt
    this.#parser = new CodeParser(attempt.deps)
  }

  /**
   * Lets the agent work until it finishes: on the order, on what was cut off, or on the checks that
   * failed. Infrastructure that fails meanwhile is waited for, within bounds.
   */
  async work(): Promise<TurnEnd> {
    const { deps, workspace } = this.#attempt
    let failing: number | null = null
    for (let waitMs: number = retryWaitMs.first; ; waitMs = Math.min(waitMs * 2, retryWaitMs.max)) {
      const begun = deps.clock.now()
      const end = await this.#turn()
      workspace.signal.throwIfAborted()
      if (end.kind === 'finished' || end.retry === 'never') return end
      // A turn that went on for longer than the bound was work: what failed then is a new failure.
      const now = deps.clock.now()
      if (failing === null || now - begun > retryMsMax) failing = now
      if (now - failing + waitMs > retryMsMax) return end
      await this.#close()
      await deps.clock.sleep(waitMs, workspace.signal)
    }
  }

  /**
   * Ends the agent's processes, all of them, so that nothing of its runs while the server checks;
   * the next `work` resumes the conversation.
   */
  async rest(): Promise<void> {
    await this.#close()
    await this.#attempt.workspace.sandbox.killAll()
    this.#rested = true
  }

  async #turn(): Promise<TurnEnd> {
    const rested = this.#rested
    this.#rested = false
    this.#agent = await openAgentOf(this.#attempt, this.#parser)
    if (!this.#agent.resumed) return this.#agent.turn(await this.#orderText())
    if (rested) {
      return this.#say(this.#agent, roundFailedPrompt(this.#attempt.journal.progress))
    }
    return this.#say(
      this.#agent,
      continuePrompt({
        cutOff: await this.#cutOff(),
        round: this.#attempt.journal.progress,
      }),
    )
  }

  /** A message of the server's own, in the log like every other one. */
  async #say(agent: Agent, text: string): Promise<TurnEnd> {
    const content = [{ type: 'text', text }]
    await this.#attempt.writer.write({ type: 'system.message', content })
    return agent.turn(text)
  }

  async #orderText(): Promise<string> {
    const { task, branch, journal } = this.#attempt
    const { checks, setupFailure } = journal.progress
    return orderPrompt({ order: task.order, branch, checks, setupFailure: setupFailure ?? null })
  }

  /** Tool calls without a result at the end of the log, in words. */
  async #cutOff(): Promise<string[]> {
    const { deps, lease } = this.#attempt
    const session = await getSession(deps.store.db, lease.sessionId)
    const events = await readEvents(deps.store.db, {
      sessionId: lease.sessionId,
      after: Math.max(0, (session?.last_seq ?? 0) - cutOffEventsMax),
      limit: cutOffEventsMax,
      types: ['agent.tool_use', 'agent.tool_result', 'agent.mcp_tool_use', 'agent.mcp_tool_result'],
    })
    const open = new Map<unknown, string>()
    for (const event of events) {
      if (event.type === 'agent.tool_result') open.delete(event['tool_use_id'])
      else if (event.type === 'agent.mcp_tool_result') open.delete(event['mcp_tool_use_id'])
      else open.set(event['tool_use_id'], `${event['name']} ${JSON.stringify(event['input'])}`)
    }
    return [...open.values()].map((call) => call.slice(0, 500))
  }

  async #close(): Promise<void> {
    const agent = this.#agent
    this.#agent = null
    await agent?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
    await this.#parser[Symbol.asyncDispose]()
  }
}
