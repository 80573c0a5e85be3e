import type { FailedReason } from '@longhaul/client/contract'

/** How a turn ended. */
export type TurnEnd =
  | { readonly kind: 'finished'; readonly text: string /** The agent's last message. */ }
  | TurnDeferred
  | TurnFailed

/** A call waits for a human; the conversation goes on with it, in a process of its own. */
export interface TurnDeferred {
  readonly kind: 'deferred'
  readonly call: {
    readonly id: string
    /** The SDK's name of the tool. */
    readonly name: string
    readonly input: Readonly<Record<string, unknown>>
  }
}

/**
 * `retry: 'later'`: nothing is wrong with the conversation, the same one may go on (the model is
 * overloaded, the process died). `never`: the same again would end the same.
 */
export interface TurnFailed {
  readonly kind: 'failed'
  readonly reason: FailedReason
  /** One sentence for people. */
  readonly message: string
  readonly retry: 'never' | 'later'
  /** The provider has no quota left, or no room. */
  readonly limited?: true
  /** The process ended by itself, or something inside or the kernel ended it. */
  readonly died?: true
}
