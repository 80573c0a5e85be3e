/** The MCP server that an agent's typed tools are. */
export const toolServerName = 'longhaul'

/** The name by which an agent knows one of its typed tools. */
export function sdkToolName(name: string): string {
  return `mcp__${toolServerName}__${name}`
}
