import type { Agent } from '@longhaul/client/contract'
import type { AgentRow } from '../store/agents.ts'

/** An agent of a version, in the form of `/v1`. */
export function presentAgent(row: AgentRow): Agent {
  const { content } = row
  const { id, effort } = content.model
  return {
    type: 'agent',
    id: row.id,
    version: row.version,
    name: content.name,
    description: content.description,
    model: { id, ...(effort !== null && { effort: { type: effort } }) },
    system: content.system,
    tools: content.tools,
    subagents: content.subagents,
    max_turns: content.max_turns,
    metadata: content.metadata,
    task_type: row.task_type,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    archived_at: row.archived_at?.toISOString() ?? null,
  }
}
