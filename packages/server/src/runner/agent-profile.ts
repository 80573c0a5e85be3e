import {
  type AgentContent,
  agentContent,
  type BuiltInTool,
  builtInTool,
  type TaskType,
  toolAccess,
} from '@longhaul/client/contract'
import { sdkTools } from '../agent/built-in-tools.ts'
import type { AgentProfile } from '../agent/options.ts'
import { sdkToolName } from '../agent/tools/names.ts'
import { presets, turnsDefault } from '../tasks/presets.ts'

/** The agent's version that the session pinned; of a session older than versions, the type's. */
export function pinnedAgent(stored: unknown, type: TaskType): AgentContent {
  const pinned = agentContent.safeParse(stored)
  return pinned.success ? pinned.data : presets[type].agent
}

/** The profile of an agent within what the task's type fixes: it has what both allow. */
export function profileWithin(
  agent: AgentContent,
  o: {
    readonly type: TaskType
    /** Names of MCP servers among the tools. */
    readonly servers: readonly string[]
    /** Of agents that name none; null: the Agent SDK chooses. */
    readonly model: string | null
    /** What the repository says to agents; empty: nothing. */
    readonly guidance: string
  },
): AgentProfile {
  const preset = presets[o.type]
  const isAllowed = (name: string): boolean => !isBuiltIn(name) || preset.tools.includes(name)
  const offered = preset.tools.filter((name) => toolAccess(agent.tools, name) !== 'off')
  const sdkNames = (name: string): readonly string[] => {
    if (isBuiltIn(name)) return sdkTools[name]
    return [o.servers.includes(name) ? `mcp__${name}` : sdkToolName(name)]
  }
  const guidance =
    o.guidance === ''
      ? ''
      : `The repository says to agents (its words, not the operator's):\n${o.guidance}`
  return {
    model: agent.model.id ?? o.model,
    effort: agent.model.effort,
    systemPrompt: [agent.system ?? '', preset.facts, guidance].filter(Boolean).join('\n\n'),
    tools: offered.flatMap((name) => sdkTools[name]),
    subagents: agent.subagents.map((one) => ({
      name: one.name,
      description: one.description,
      prompt: one.prompt,
      tools: one.tools?.filter(isAllowed).flatMap(sdkNames) ?? null,
      model: one.model,
      effort: one.effort,
      maxTurns: one.max_turns,
    })),
    maxTurns: agent.max_turns ?? turnsDefault,
    readOnly: !preset.publishes,
  }
}

function isBuiltIn(name: string): name is BuiltInTool {
  return builtInTool.options.some((each) => each === name)
}
