import { type AgentContent, type EnvironmentContent, toolAccess } from '@longhaul/client/contract'
import type { CodeParser } from '../agent/tools/code/parser.ts'
import { type CodeFunctions, codeTools } from '../agent/tools/code.ts'
import { type DockerFunctions, dockerTools } from '../agent/tools/docker.ts'
import { type FileFunctions, fileTools } from '../agent/tools/fs.ts'
import { type GitHubFunctions, gitHubTools } from '../agent/tools/gh.ts'
import { type GitFunctions, gitTools } from '../agent/tools/git.ts'
import type { Toolbox } from '../agent/tools/server.ts'
import { type TaskFunctions, taskTools } from '../agent/tools/task.ts'
import type { Tool } from '../agent/tools/tool.ts'
import type { Config } from '../config.ts'
import { presets } from '../tasks/presets.ts'
import { customTools, mcpServersFor } from './custom-tools.ts'
import { dockerFunctions } from './docker.ts'
import { gitFunctions } from './git-functions.ts'
import { gitHubFunctions } from './github-functions.ts'
import type { Attempt } from './phase.ts'
import { codeFunctions, fileFunctions, taskFunctions } from './tool-functions.ts'

/** What the typed tools call. */
interface Functions {
  readonly task: TaskFunctions
  readonly files: FileFunctions
  readonly git: GitFunctions
  /** Null where the repository is not on GitHub. */
  readonly gitHub: GitHubFunctions | null
  readonly code: CodeFunctions
  /** Null: the operator names no engine. */
  readonly docker: DockerFunctions | null
}

function toolsOf({ task, files, git, gitHub, code, docker }: Functions): Tool[] {
  return [
    ...taskTools(task),
    ...fileTools(files),
    ...gitTools(git),
    ...(gitHub === null ? [] : gitHubTools(gitHub)),
    ...codeTools(code),
    ...dockerTools(docker),
  ]
}

/** Stands for the functions of tools that are only named, and never called. */
const uncalled = {} as never

/** The names of all tools beside the built-in ones, the operator's too, for who writes an agent. */
export function toolNames({ tools, docker }: Pick<Config, 'tools' | 'docker'>): string[] {
  const named = toolsOf({
    ...{ task: uncalled, files: uncalled, git: uncalled, gitHub: uncalled, code: uncalled },
    docker: docker === null ? null : uncalled,
  })
  return [...named, ...tools].map(({ name }) => name)
}

/**
 * The typed tools of the attempt's agent, as its profile has them. In a task that may not publish it
 * has those that only read.
 */
export function toolboxOf(
  attempt: Attempt,
  o: {
    readonly agent: AgentContent
    readonly environment: EnvironmentContent
    readonly parser: CodeParser
  },
): Toolbox {
  const { deps, task } = attempt
  const { agent, parser } = o
  const tools = [
    ...toolsOf({
      task: taskFunctions(attempt),
      files: fileFunctions(attempt),
      git: gitFunctions(attempt),
      gitHub: gitHubFunctions(attempt),
      code: codeFunctions(attempt, parser),
      docker: dockerFunctions(attempt),
    }),
    ...customTools(attempt),
  ]
  const denied = deps.config.tools.filter((tool) => tool.denied).map(({ name }) => name)
  return {
    tools: presets[task.type].publishes ? tools : tools.filter(({ readOnly }) => readOnly),
    servers: mcpServersFor(deps, { ...o, task }),
    policy: (name) => {
      const access = toolAccess(agent.tools, name)
      return access === 'allow' && denied.includes(name) ? 'deny' : access
    },
    observe: ({ tool, outcome, durationMs }) => {
      deps.metrics.toolCalls.inc({ tool, outcome })
      deps.metrics.toolSeconds.observe({ tool }, durationMs / 1000)
    },
  }
}
