import { fileTools } from '../agent/tools/fs.ts'
import { gitTools } from '../agent/tools/git.ts'
import type { Toolbox } from '../agent/tools/server.ts'
import { taskTools } from '../agent/tools/task.ts'
import { presets } from '../tasks/presets.ts'
import { customTools, mcpServersFor } from './custom-tools.ts'
import { gitFunctions } from './git-functions.ts'
import type { Attempt } from './phase.ts'
import { fileFunctions, taskFunctions } from './tool-functions.ts'

/** The typed tools of the attempt's agent. One that may not publish has those that only read. */
export function toolboxOf(attempt: Attempt): Toolbox {
  const { deps, task } = attempt
  const tools = [
    ...taskTools(taskFunctions(attempt)),
    ...fileTools(fileFunctions(attempt)),
    ...gitTools(gitFunctions(attempt)),
    ...customTools(attempt),
  ]
  const denied = deps.config.tools.filter((tool) => tool.denied).map(({ name }) => name)
  return {
    tools: presets[task.type].publishes ? tools : tools.filter(({ readOnly }) => readOnly),
    servers: mcpServersFor(deps, task),
    policy: (name) => (denied.includes(name) ? 'deny' : 'allow'),
    observe: ({ tool, outcome, durationMs }) => {
      deps.metrics.toolCalls.inc({ tool, outcome })
      deps.metrics.toolSeconds.observe({ tool }, durationMs / 1000)
    },
  }
}
