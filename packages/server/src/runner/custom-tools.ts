import { type AgentContent, type EnvironmentContent, toolAccess } from '@longhaul/client/contract'
import { commandTool, type RunCommand } from '../agent/tools/custom/command.ts'
import { type CallHttp, httpTool } from '../agent/tools/custom/http.ts'
import type { Tool } from '../agent/tools/tool.ts'
import { callHttp } from '../gateway/call-http.ts'
import type { TaskRow } from '../store/tables.ts'
import { presets } from '../tasks/presets.ts'
import type { McpServer } from '../tools-file/custom-tool.ts'
import type { RunnerDeps } from './deps.ts'
import { allowsMcp } from './environment.ts'
import type { Attempt } from './phase.ts'

/** The tools that the operator declared, as this attempt's agent has them. */
export function customTools({ deps, workspace, hold }: Attempt): Tool[] {
  const { config, clock, log } = deps
  const run: RunCommand = (command, o) => workspace.sandbox.exec(command, o)
  const call: CallHttp = async (o) => {
    await hold.require()
    return callHttp({ ...o, allowPrivate: config.gatewayAllowPrivate, clock, log })
  }
  return config.tools.flatMap((tool) => {
    if (tool.kind === 'command') return [commandTool(tool, run)]
    return tool.kind === 'http' ? [httpTool(tool, call)] : []
  })
}

/**
 * The MCP servers that a task's agent has: the gateway lets its sandbox reach no others. One that is
 * denied, by the operator, the agent's profile or the environment, is not started at all, because the CLI, not we,
 * would have to refuse its calls.
 */
export function mcpServersFor(
  { config }: Pick<RunnerDeps, 'config'>,
  o: {
    readonly task: Pick<TaskRow, 'order'>
    readonly agent: AgentContent
    readonly environment: EnvironmentContent
  },
): McpServer[] {
  const { task, agent, environment } = o
  if (!allowsMcp(environment)) return []
  return config.tools
    .filter((tool) => tool.kind === 'mcp')
    .filter(({ name }) => ['allow', 'ask'].includes(toolAccess(agent.tools, name)))
    .filter(({ denied, readOnly }) => !denied && (readOnly || presets[task.order.type].publishes))
}
