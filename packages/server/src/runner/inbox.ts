import type { Agent } from '../agent/open.ts'
import { uuidOf } from '../ids.ts'
import { waitingMessages } from '../store/messages.ts'
import type { MessageRow } from '../store/tables.ts'
import { processMessage } from '../tasks/messages.ts'
import type { Attempt } from './phase.ts'

/** What a turn was told is in the stored conversation this soon after it. */
const storedMsMax = 10_000

/**
 * The messages of people to a task's agent, on their way into its conversation. That a message is
 * in the stored conversation is what makes it read: until then it waits and will be said, by this
 * process or the next, and from then on it never is again. So whichever process dies whenever, the
 * agent is told once. The message's UUID in the conversation is that of its event.
 */
export class Inbox {
  readonly #attempt: Attempt
  /** Ids of what the agent's present process was told. */
  #said = new Set<string>()
  /** Ids of what waited when the turn began: none of it cuts the turn off, it is read in it. */
  #older: ReadonlySet<string> = new Set()

  constructor(attempt: Attempt) {
    this.#attempt = attempt
  }

  /**
   * Messages that the conversation lacks, oldest first; those that it has are marked as processed,
   * once the agent was opened in this attempt.
   */
  async waiting(): Promise<MessageRow[]> {
    const { deps, lease, transcript, writer } = this.#attempt
    const rows = await waitingMessages(deps.store.db, lease.sessionId)
    const left: MessageRow[] = []
    for (const message of rows) {
      if (!transcript.has(uuidOf(message.id))) {
        left.push(message)
        continue
      }
      // What the agent said before comes before it in the log.
      await writer.flush()
      await processMessage(deps, { message, attempt: lease.attempt })
    }
    return left
  }

  /** The message that a turn begins with: the oldest, but those that queue come last. */
  async next(): Promise<MessageRow | null> {
    const waiting = await this.waiting()
    this.#older = new Set(waiting.map(({ id }) => id))
    return waiting.find(({ mode }) => mode !== 'queue') ?? waiting[0] ?? null
  }

  /** The agent's process is a new one, that was told nothing yet. */
  renew(): void {
    this.#said = new Set()
  }

  /** The turn that begins tells the agent this. */
  open(message: MessageRow | null): void {
    if (message !== null) this.#said.add(message.id)
  }

  /**
   * Hands over what is to be read in the open turn, until `over` aborts. True when a message cut the
   * turn off. Never rejects: what could not be looked up waits for the next look.
   */
  async follow(agent: Agent, over: AbortSignal): Promise<boolean> {
    const { deps, lease } = this.#attempt
    using hints = deps.live.subscribe(lease.sessionId)
    while (!over.aborted) {
      try {
        const waiting = await this.waiting()
        const cut = over.aborted ? undefined : this.#hand(agent, waiting)
        if (cut !== undefined) {
          await agent.interrupt()
          return true
        }
      } catch (error) {
        deps.log.warn({ err: error, sessionId: lease.sessionId }, 'messages could not be read')
      }
      await hints.wait(over).catch(() => undefined)
    }
    return false
  }

  /** Says what is to be read now, up to the message that cuts the turn off. */
  #hand(agent: Agent, waiting: readonly MessageRow[]): MessageRow | undefined {
    const due = waiting.filter(({ id, mode }) => mode !== 'queue' && !this.#said.has(id))
    for (const message of due) {
      if (message.mode === 'interrupt' && !this.#older.has(message.id)) return message
      const isSaid = agent.say({ parts: [message.text], uuid: uuidOf(message.id) })
      if (isSaid) this.#said.add(message.id)
    }
    return undefined
  }

  /** Resolves when everything that the agent was told is in the stored conversation, or is late. */
  async settled(): Promise<void> {
    const { deps, lease, transcript } = this.#attempt
    const uuids = [...this.#said].map(uuidOf)
    const { clock } = deps
    await transcript.waitFor(uuids, { timeoutMs: storedMsMax, clock }).catch((error: unknown) => {
      // It is said again: what the conversation lacks, the agent does not know.
      deps.log.warn({ err: error, sessionId: lease.sessionId }, 'a message was not taken')
    })
  }

  /** Whether the agent's process was told something that the conversation lacks. */
  get hasUnread(): boolean {
    return [...this.#said].some((id) => !this.#attempt.transcript.has(uuidOf(id)))
  }
}

/** Whether a message waits for the agent, by the store alone. */
export async function isSpokenTo({ deps, lease }: Attempt): Promise<boolean> {
  return (await waitingMessages(deps.store.db, lease.sessionId)).length > 0
}
