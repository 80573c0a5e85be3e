import type { Agent, AgentOptions } from './agent.ts'
import { prepareConversation } from './resume.ts'

export type { Agent } from './agent.ts'
export type { TurnDeferred, TurnEnd, TurnFailed } from './turn-end.ts'

/** Loaded when it is needed: the Agent SDK takes 15 MB, which an idle server does without. */
const load = () => import('./running-agent.ts')

/** Begins to load what an agent needs, so that `openAgent` need not wait for it. */
export function loadAhead(): void {
  load().catch(() => undefined) // `openAgent` says what is wrong.
}

/**
 * Puts the conversation in place and starts the process. Rejects when the conversation cannot be
 * loaded or written, when the sandbox is gone, or with the signal's reason; what goes wrong later is
 * the end of a turn.
 */
export async function openAgent(o: AgentOptions): Promise<Agent> {
  o.signal.throwIfAborted()
  const [resumed, { RunningAgent }] = await Promise.all([prepareConversation(o), load()])
  o.signal.throwIfAborted()
  return new RunningAgent(o, resumed)
}
