import { sql } from 'kysely'
import type { Db, JsonObject } from './tables.ts'

/**
 * The tool calls without a result of the last attempt in which the agent did anything, in order; at
 * most `limit`, the agent's own before those of its sub-agents, and of these the last. A parent's call
 * may be thousands of events before the end of the log. Calls of earlier attempts have been told of.
 */
export async function openCalls(
  db: Db,
  o: { sessionId: string; limit: number },
): Promise<JsonObject[]> {
  const { rows } = await sql<{ payload: JsonObject }>`
    with latest as materialized (
      select attempt from events where session_id = ${o.sessionId} and type like 'agent.%'
      order by seq desc limit 1
    ), calls as materialized (
      select seq, type, thread_id, payload from events
      where session_id = ${o.sessionId} and attempt = (select attempt from latest)
        and type in ('agent.tool_use', 'agent.tool_result', 'agent.mcp_tool_use', 'agent.mcp_tool_result')
    ), open as (
      select * from calls
      where type in ('agent.tool_use', 'agent.mcp_tool_use') and payload ->> 'tool_use_id' not in (
        select coalesce(payload ->> 'tool_use_id', payload ->> 'mcp_tool_use_id', '') from calls
        where type in ('agent.tool_result', 'agent.mcp_tool_result'))
      order by thread_id is not null, seq desc limit ${o.limit}::int
    )
    select payload from open order by seq`.execute(db)
  return rows.map(({ payload }) => payload)
}
