import type { Agent, TurnDeferred, TurnEnd, TurnFailed } from '../agent/open.ts'
import { CodeParser } from '../agent/tools/code/parser.ts'
import { uuidOf } from '../ids.ts'
import { getSession } from '../store/sessions.ts'
import {
  continuePrompt,
  followUpPrompt,
  hasFailed,
  orderPrompt,
  roundFailedPrompt,
} from '../tasks/prompts.ts'
import { pinnedAgent } from './agent-profile.ts'
import { cutOffCalls, lostCalls } from './cut-off.ts'
import { Inbox } from './inbox.ts'
import { openAgentOf } from './open-agent.ts'
import { parkingOf } from './permission.ts'
import type { Attempt } from './phase.ts'
import { raise, taskAlert } from './task-alert.ts'

/** A model that answers 429 or 5xx, or a process that dies, is tried again for this long. */
const retryMsMax = 10 * 60_000
const retryWaitMs = { first: 5000, max: 60_000 } as const

/** A turn that does not end this soon after it was interrupted is ended with its process. */
const interruptMsMax = 5000

const nothingWaited: TurnEnd = { kind: 'finished', text: '' }

/** The attempt's side of the agent's conversation: one process, from the first turn to the last. */
export class Conversation implements AsyncDisposable {
  readonly #attempt: Attempt
  /** The attempt's own: what one repository does to its parser is no other one's trouble. */
  readonly #parser: CodeParser
  readonly #inbox: Inbox
  #agent: Agent | null = null
  /** Why the next process is a new one: what the agent is told then. */
  #why: 'restarted' | 'checked' | 'interrupted' = 'restarted'

  constructor(attempt: Attempt) {
    this.#attempt = attempt
    this.#parser = new CodeParser(attempt.deps)
    this.#inbox = new Inbox(attempt)
  }

  /**
   * Lets the agent work until it finishes and no message waits for it: on the order, on what was cut
   * off, on the checks that failed, on what people said. The end has the last words of each turn.
   */
  async work(): Promise<Exclude<TurnEnd, TurnDeferred>> {
    const texts: string[] = []
    for (;;) {
      const end = await this.#turnWithRetries()
      if (end.kind === 'deferred') return this.#park(end.call)
      if (end.kind === 'failed') return this.#failed(end)
      if (end.text !== '') texts.push(end.text)
      if ((await this.#inbox.waiting()).length === 0) {
        return { kind: 'finished', text: texts.join('\n\n') }
      }
    }
  }

  #failed(end: TurnFailed): TurnFailed {
    const { writer, deps } = this.#attempt
    if (end.reason === 'stalled')
      raise({ writer, metrics: deps.metrics }, taskAlert('agent_silent', end.message))
    return end
  }

  /**
   * Ends the agent's processes, all of them, so that nothing of its runs while the server checks;
   * the next `work` resumes the conversation.
   */
  async rest(): Promise<void> {
    await this.#close()
    await this.#attempt.workspace.sandbox.killAll()
    this.#why = 'checked'
  }

  /** One turn; infrastructure that fails meanwhile is waited for, within bounds. */
  async #turnWithRetries(): Promise<TurnEnd> {
    const { deps, workspace } = this.#attempt
    let failing: number | null = null
    for (let waitMs: number = retryWaitMs.first; ; waitMs = Math.min(waitMs * 2, retryWaitMs.max)) {
      const begun = deps.clock.elapsed()
      const end = await this.#turn()
      workspace.signal.throwIfAborted()
      if (end.kind !== 'failed' || end.retry === 'never') return end
      // A process that a limit ended would be ended by it again.
      const hit = end.died === true ? this.#attempt.limitNotes.look() : null
      if (hit !== null)
        return { ...end, reason: hit.reason, message: `${end.message} ${hit.message}` }
      // A turn that went on for longer than the bound was work: what failed then is a new failure.
      const now = deps.clock.elapsed()
      if (failing === null || now - begun > retryMsMax) failing = now
      if (now - failing + waitMs > retryMsMax) return this.#giveUp(end)
      await this.#close()
      await deps.clock.sleep(waitMs, workspace.signal)
    }
  }

  /** A provider without quota is waited for without a slot: it throws then, as every stop does. */
  #giveUp(end: TurnFailed): TurnEnd {
    if (end.limited !== true) return end
    this.#attempt.awaitQuota()
    throw this.#attempt.workspace.signal.reason
  }

  /** A turn that a message cut off has finished, without a word. */
  async #turn(): Promise<TurnEnd> {
    const { agent, words } = await this.#open()
    const { waitingCall } = this.#attempt.journal.progress
    if (waitingCall !== null) return this.#goOn(agent)
    const message = await this.#inbox.next()
    const parts = [words, message?.text ?? null].filter((part) => part !== null)
    // What waited is in the conversation after all.
    if (parts.length === 0) return { kind: 'finished', text: '' }
    this.#inbox.open(message)
    const uuid = message === null ? {} : { uuid: uuidOf(message.id) }
    return this.#tell(agent, agent.turn({ parts, ...uuid }))
  }

  /** The call that a human was asked about comes first; who has something to say meanwhile is heard. */
  async #goOn(agent: Agent): Promise<TurnEnd> {
    const { journal } = this.#attempt
    this.#inbox.open(null)
    const going = agent.goOn()
    // Told below: that no call waited.
    const end = await this.#tell(
      agent,
      going.then((end) => end ?? nothingWaited),
    )
    await journal.write({ waitingCall: null })
    // What was made anew meanwhile, the call did not know.
    const isTold = journal.progress.rebuild === undefined || end.kind !== 'finished'
    if (end !== nothingWaited && isTold) return end
    return this.#tell(agent, agent.turn({ parts: [await this.#continueText()] }))
  }

  async #tell(agent: Agent, turn: Promise<TurnEnd>): Promise<TurnEnd> {
    const over = new AbortController()
    const following = this.#follow(agent, { turn, over: over.signal })
    const end = await turn
    over.abort()
    const wasCut = await following
    if (end.kind === 'finished') await this.#inbox.settled()
    await this.#inbox.waiting()
    if (!wasCut || end.kind !== 'failed' || end.reason !== 'cancelled') return end
    // What it was told and has not read would begin a turn of its own: the next process is told.
    if (this.#inbox.hasUnread) await this.#close()
    if (this.#agent === null) this.#why = 'interrupted'
    return { kind: 'finished', text: '' }
  }

  /** Gives up the process and the slot until a human has decided: it throws then, as every stop does. */
  async #park(call: TurnDeferred['call']): Promise<TurnFailed> {
    const { deps, lease, task, journal, park, workspace } = this.#attempt
    const session = await getSession(deps.store.db, lease.sessionId)
    const parking = parkingOf(pinnedAgent(session?.agent, task.type), call)
    if (typeof parking === 'string')
      return { kind: 'failed', reason: 'agent_error', message: parking, retry: 'never' }
    await journal.write({ waitingCall: call.id })
    park(parking)
    throw workspace.signal.reason
  }

  async #follow(
    agent: Agent,
    { turn, over }: { readonly turn: Promise<TurnEnd>; readonly over: AbortSignal },
  ): Promise<boolean> {
    const wasCut = await this.#inbox.follow(agent, over)
    if (!wasCut) return false
    using _ = this.#attempt.deps.clock.after(interruptMsMax, () => void this.#close())
    await turn
    return true
  }

  /** The agent, and what the server has to say to a process that is new. */
  async #open(): Promise<{ readonly agent: Agent; readonly words: string | null }> {
    if (this.#agent !== null) return { agent: this.#agent, words: null }
    const agent = await openAgentOf(this.#attempt, this.#parser)
    this.#agent = agent
    this.#inbox.renew()
    const why = this.#why
    this.#why = 'restarted'
    if (!agent.resumed) return { agent, words: this.#orderText() }
    const isWaiting = this.#attempt.journal.progress.waitingCall !== null
    const words = isWaiting ? null : await this.#resumeText(why)
    // A message of the server's own, in the log like every other one.
    if (words !== null) {
      const content = [{ type: 'text', text: words }]
      await this.#attempt.writer.write({ type: 'system.message', content })
    }
    return { agent, words }
  }

  #orderText(): string {
    const { task, branch, journal } = this.#attempt
    const { checks, setupFailure } = journal.progress
    return orderPrompt({ order: task.order, branch, checks, setupFailure: setupFailure ?? null })
  }

  async #resumeText(why: 'restarted' | 'checked' | 'interrupted'): Promise<string | null> {
    const { branch, journal } = this.#attempt
    const { progress } = journal
    const { earlier, base, checks, setupFailure = null } = progress
    if (why === 'interrupted') return null
    if (why === 'checked') return hasFailed(progress) ? roundFailedPrompt(progress) : null
    const waiting = await this.#inbox.waiting()
    if (earlier?.start !== undefined && waiting.some(({ id }) => id === earlier.messageId)) {
      const { start, scrubbed = false } = earlier
      const at = { branch, base: base?.branch ?? 'HEAD', start, isScrubbed: scrubbed }
      return followUpPrompt({ ...at, checks, setupFailure })
    }
    return this.#continueText()
  }

  /** What a process that is new has to know before it goes on. */
  async #continueText(): Promise<string> {
    const { progress } = this.#attempt.journal
    const { rebuild, setupFailure = null } = progress
    const lost = await lostCalls(this.#attempt, rebuild)
    const hasWork = rebuild?.seq !== 0
    return continuePrompt({
      cutOff: await cutOffCalls(this.#attempt),
      rebuilt: rebuild === undefined ? null : { hasWork, lost, setupFailure },
      round: progress,
    })
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
