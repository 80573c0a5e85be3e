import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { Conversation } from './conversation.ts'
import type { AnswerBlock } from './scenario.ts'

/** One request that the scripted model was sent. */
export interface ModelRequest {
  readonly conversation: string
  /** `side`: a call that is no turn of a conversation (titles, summaries, token counts). */
  readonly kind: 'turn' | 'side'
  /** The assistant turn that is asked for, counted from 0. */
  readonly turn: number
  /** How often this turn was asked for before. */
  readonly triesBefore: number
  readonly model: string
  readonly lastUserText: string
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  /**
   * `answered`: written completely to the connection. `failed`: an error status. `broken`: cut on
   * purpose. `aborted`: the client went away first.
   */
  readonly outcome: 'pending' | 'answered' | 'failed' | 'broken' | 'aborted'
}

/** A turn that was asked again although its answer had been delivered completely. */
export interface DuplicateTurn {
  readonly conversation: string
  readonly turn: number
  /**
   * A later request had already contained the answer: it was stored, and lost afterwards. Without
   * this mark the client may have died at the very moment of the delivery.
   */
  readonly acknowledged: boolean
}

type Recorded = { -readonly [Field in keyof ModelRequest]: ModelRequest[Field] }

/** Answers delivered in one conversation, by the number of their turn. */
interface Delivered {
  readonly answers: Map<number, { readonly print: string; acknowledged: boolean }>
  readonly tries: Map<number, number>
}

const requestsMax = 2_000
const conversationsMax = 500

/**
 * Remembers what was asked and delivered. An answer that was delivered completely must come back in
 * every later request of its conversation, at its place. If it does not, whoever kept the
 * conversation lost it and asks for the turn again: a duplicate, counted once an answer. The
 * comparison looks at tool call ids, or at the text where there is none, so everything that varies
 * between two sendings of one conversation (cache marks, reminders, thinking, results) is left out.
 */
export class TurnLedger {
  readonly requests: ModelRequest[] = []
  readonly duplicates: DuplicateTurn[] = []
  readonly #conversations = new Map<string, Delivered>()
  readonly #changes = new EventEmitter().setMaxListeners(0)

  /** Records a request, and which delivered answers it lacks. Its outcome is reported to `settle`. */
  record(conversation: Conversation, kind: ModelRequest['kind']): ModelRequest {
    const { key, turns, model, lastUserText } = conversation
    const base = { conversation: key, kind, turn: turns, model, lastUserText }
    const triesBefore = kind === 'turn' ? this.#countTurn(conversation) : 0
    const request = { ...base, triesBefore, receivedAt: Date.now(), outcome: 'pending' as const }
    this.requests.push(request)
    if (this.requests.length > requestsMax) this.requests.shift()
    this.#changes.emit('change')
    return request
  }

  /** Records how a request ended; the content of an answer that was delivered completely. */
  settle(
    request: ModelRequest,
    outcome: ModelRequest['outcome'],
    answer: readonly DeliveredBlock[] = [],
  ): void {
    // Readers see requests read-only; the ledger alone writes their end.
    const recorded = request as Recorded
    recorded.outcome = outcome
    if (outcome === 'answered' && request.kind === 'turn') {
      const ids = answer.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []))
      const text = answer.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n')
      const print = printOf(ids, text)
      if (print !== '') {
        const { answers } = this.#deliveredIn(request.conversation)
        answers.set(request.turn, { print, acknowledged: false })
      }
    }
    this.#changes.emit('change')
  }

  /** The first request, past or to come, that `match` accepts; rejects after `timeoutMs`. */
  async waitFor(
    match: (request: ModelRequest) => boolean,
    timeoutMs: number,
  ): Promise<ModelRequest> {
    const signal = AbortSignal.timeout(timeoutMs)
    for (;;) {
      const found = this.requests.find(match)
      if (found !== undefined) return found
      await once(this.#changes, 'change', { signal }).catch((cause) => {
        const seen = this.requests.map((r) => `${r.kind} ${r.turn} ${r.outcome}`).slice(-20)
        throw new Error(`no such request within ${timeoutMs} ms; seen: ${seen.join(', ')}`, {
          cause,
        })
      })
    }
  }

  #countTurn(conversation: Conversation): number {
    const { answers, tries } = this.#deliveredIn(conversation.key)
    const turns = conversation.history.filter((entry) => entry.kind === 'turn')
    for (const [turn, answer] of answers) {
      const sent = turns[turn]
      const ids = sent?.calls.map((call) => call.id) ?? []
      if (sent !== undefined && printOf(ids, sent.text) === answer.print) {
        answer.acknowledged = true
      } else {
        const { acknowledged } = answer
        this.duplicates.push({ conversation: conversation.key, turn, acknowledged })
        answers.delete(turn)
      }
    }
    const before = tries.get(conversation.turns) ?? 0
    tries.set(conversation.turns, before + 1)
    return before
  }

  #deliveredIn(conversation: string): Delivered {
    const known = this.#conversations.get(conversation)
    if (known !== undefined) return known
    const delivered = { answers: new Map(), tries: new Map() }
    this.#conversations.set(conversation, delivered)
    const [oldest] = this.#conversations.keys()
    if (this.#conversations.size > conversationsMax && oldest !== undefined) {
      this.#conversations.delete(oldest)
    }
    return delivered
  }
}

/** A piece of an answer as it was sent: a tool call has its id. */
export type DeliveredBlock =
  | Exclude<AnswerBlock, { readonly type: 'tool_use' }>
  | (Extract<AnswerBlock, { readonly type: 'tool_use' }> & { readonly id: string })

/** What one answer is recognised by; empty for an answer of thinking alone. */
function printOf(ids: readonly string[], text: string): string {
  if (ids.length > 0) return ids.join(' ')
  return text.trim() === '' ? '' : createHash('sha256').update(text.trim()).digest('hex')
}
