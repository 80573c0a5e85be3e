import type { UUID } from 'node:crypto'
import type { SDKUserMessage } from '@anthropic-ai/claude-agent-sdk'
import type { Said } from './agent.ts'

/** Messages that wait to be read; of a task's messages only a few may wait. */
const waitingMax = 100

/**
 * The conversation's input, held open until it is ended: an input that ends early would take the
 * control channel with it.
 */
export class Input implements AsyncIterable<SDKUserMessage> {
  readonly #waiting: SDKUserMessage[] = []
  #hasEnded = false
  #wake: () => void = () => undefined

  /** Sends one user message. Throws when 100 wait already, which no turn can cause. */
  send({ parts, uuid }: Said): void {
    if (this.#waiting.length >= waitingMax) throw new Error('too many messages wait to be read')
    const [only, ...more] = parts
    const content =
      more.length === 0 ? (only ?? '') : parts.map((text) => ({ type: 'text' as const, text }))
    this.#waiting.push({
      type: 'user',
      message: { role: 'user', content },
      parent_tool_use_id: null,
      ...(uuid === undefined ? {} : { uuid: uuid as UUID }),
    })
    this.#wake()
  }

  /** No more messages; what was sent is still read. */
  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SDKUserMessage, void> {
    while (true) {
      const next = this.#waiting.shift()
      if (next !== undefined) yield next
      else if (this.#hasEnded) return
      else await this.#change()
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
