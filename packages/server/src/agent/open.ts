import type { Agent, AgentOptions } from './agent.ts'
import { prepareConversation } from './resume.ts'
import { RunningAgent } from './running-agent.ts'

export type { Agent } from './agent.ts'
export type { TurnEnd } from './turn-end.ts'

/**
 * Puts the conversation in place and starts the process. Rejects when the conversation cannot be
 * loaded or written, when the sandbox is gone, or with the signal's reason; what goes wrong later is
 * the end of a turn.
 */
export async function openAgent(o: AgentOptions): Promise<Agent> {
  o.signal.throwIfAborted()
  const resumed = await prepareConversation(o)
  o.signal.throwIfAborted()
  return new RunningAgent(o, resumed)
}
