import type { McpServerConfig } from '@anthropic-ai/claude-agent-sdk'
import type { McpServer } from '../../../tools-file/custom-tool.ts'

/**
 * The operator's MCP servers, as the CLI is told of them. It starts one of them inside the sandbox,
 * and reaches another through the gateway, which knows the URL and the credential.
 */
export function mcpServersOf(
  servers: readonly McpServer[],
  gatewayUrl: string,
): Record<string, McpServerConfig> {
  return Object.fromEntries(servers.map((server) => [server.name, configOf(server, gatewayUrl)]))
}

function configOf(
  { name, at, timeoutMs: timeout }: McpServer,
  gatewayUrl: string,
): McpServerConfig {
  // Not behind the CLI's tool search: the agent knows its tools from the first turn on.
  const common = { timeout, alwaysLoad: true }
  if (at.where === 'remote') return { ...common, type: 'http', url: `${gatewayUrl}/mcp/${name}` }
  const [command = '', ...args] = at.argv
  return { ...common, type: 'stdio', command, args, env: { ...at.env } }
}
