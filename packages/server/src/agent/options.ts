import type { AgentDefinition, HookCallback, Options } from '@anthropic-ai/claude-agent-sdk'
import type { Sandbox } from '../sandbox/driver.ts'
import { shellStartPath } from '../sandbox/limits/oom-score.ts'

/** What an agent is: a model, a prompt, tools. */
export interface AgentProfile {
  /** Null: the CLI's default. */
  readonly model: string | null
  /** How hard it thinks; null: the CLI's default for the model. */
  readonly effort: Effort | null
  /** Appended to Claude Code's own. The first one of a conversation counts, also when it resumes. */
  readonly systemPrompt: string
  /** Names of the SDK's tools; beside them the agent has its toolbox's, and no others. */
  readonly tools: readonly string[]
  /** Agents that it may start. */
  readonly subagents: readonly Subagent[]
  /** Model turns of one `turn`. */
  readonly maxTurns: number
  /** Refuses the tools that write files, even if `tools` names them. */
  readonly readOnly: boolean
}

type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max'

/** An agent for a part of the work, started by the agent itself. */
interface Subagent {
  readonly name: string
  readonly description: string
  readonly prompt: string
  /** Names of the SDK's and the toolbox's tools; null: those of the agent. */
  readonly tools: readonly string[] | null
  /** Null: the agent's. */
  readonly model: string | null
  readonly effort: Effort | null
  readonly maxTurns: number | null
}

/** The options of the SDK that depend on the profile alone; its hooks come beside them. */
export function profileOptions(profile: AgentProfile): Options {
  return {
    ...(profile.model === null ? {} : { model: profile.model }),
    ...(profile.effort === null ? {} : { effort: profile.effort }),
    agents: Object.fromEntries(profile.subagents.map((one) => [one.name, definitionOf(one)])),
    systemPrompt: {
      type: 'preset',
      preset: 'claude_code',
      append: `${profile.systemPrompt}\n\n${longCommands}`,
      excludeDynamicSections: true,
      snapshot: true,
    },
    tools: [...profile.tools],
    disallowedTools: profile.readOnly ? ['Edit', 'NotebookEdit', 'Write'] : [],
    maxTurns: profile.maxTurns,
    // Nothing in a repository may configure the agent: settings, hooks, skills, MCP servers.
    settingSources: [],
    strictMcpConfig: true,
    // Not on the command line, which everything inside can read.
    mcpServersDelivery: 'initialize',
    skills: [],
    // The walls are the sandbox; there is nobody to ask inside.
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
    permissionPrompts: 'none',
    // No `@file` and no slash command in texts that come from elsewhere.
    verbatimPrompts: true,
    includePartialMessages: true,
    forwardSubagentText: true,
  }
}

function definitionOf(one: Subagent): AgentDefinition {
  return {
    description: one.description,
    prompt: one.prompt,
    model: one.model ?? 'inherit',
    ...(one.tools === null ? {} : { tools: [...one.tools] }),
    ...(one.effort === null ? {} : { effort: one.effort }),
    ...(one.maxTurns === null ? {} : { maxTurns: one.maxTurns }),
  }
}

/** Tells what `AgentOptions.afterTool` says: hooks run before the result goes to the model. */
export function afterToolHooks(afterTool: () => string | null): NonNullable<Options['hooks']> {
  const hook: HookCallback = (input) => {
    const hookEventName = input.hook_event_name
    if (hookEventName !== 'PostToolUse' && hookEventName !== 'PostToolUseFailure')
      return Promise.resolve({})
    const additionalContext = afterTool()
    if (additionalContext === null) return Promise.resolve({})
    return Promise.resolve({ hookSpecificOutput: { hookEventName, additionalContext } })
  }
  return { PostToolUse: [{ hooks: [hook] }], PostToolUseFailure: [{ hooks: [hook] }] }
}

/**
 * The CLI ends a command that was moved to the background after 30 minutes there, or after
 * `BASH_DEFAULT_TIMEOUT_MS` if that is longer: an operator's BASH_TIMEOUT_SECONDS above 1800 lifts
 * the limit, and nothing else does that would not also move commands there which the model gave
 * their own `timeout` (`CLAUDE_CODE_AUTO_BACKGROUND_TIMEOUT_MS`). We end commands that were started
 * there soon after the turn. So only a foreground command has the task's whole time.
 */
const longCommands =
  'Run a command whose result you need in the foreground, however long it takes, and give it a ' +
  '`timeout` that is long enough. A command started with `run_in_background` is stopped soon ' +
  'after your last message.'

/** Tries of a model request: with the CLI's back-off they take about three minutes. */
const requestTriesMax = 10
/**
 * Bytes of an answer may pause this long, pings included; then the request is made again. The gateway
 * cuts a silent answer off at 60 s, and says so.
 */
const streamPauseMsMax = 75_000
/** Subagents at once; the gateway keeps the budget however many there are. */
const subagentsMax = 8
/** A subagent may not start subagents. */
const subagentDepthMax = 1

/**
 * The CLI's variables, over those that the sandbox sets for every process. No secret is among
 * them: the gateway adds the key on the way out.
 */
export function agentEnv(o: {
  readonly sandbox: Pick<Sandbox, 'paths' | 'gatewayUrl'>
  readonly sessionId: string
  readonly bashTimeoutMs: number
  /** Milliseconds to the task's deadline. */
  readonly remainingMs: number
}): Record<string, string> {
  const { paths, gatewayUrl } = o.sandbox
  return {
    ANTHROPIC_BASE_URL: `${gatewayUrl}/anthropic`,
    ANTHROPIC_API_KEY: 'added-by-the-gateway',
    // The mirror of the transcript works only where the SDK, out here, knows both directories.
    CLAUDE_CONFIG_DIR: paths.config,
    CLAUDE_CODE_PROJECT_DIR_NAME: o.sessionId,
    CLAUDE_CODE_TMPDIR: paths.tmp,
    BASH_DEFAULT_TIMEOUT_MS: String(o.bashTimeoutMs),
    BASH_MAX_TIMEOUT_MS: String(Math.max(o.bashTimeoutMs, Math.floor(o.remainingMs))),
    CLAUDE_CODE_MAX_RETRIES: String(requestTriesMax),
    CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS: String(streamPauseMsMax),
    CLAUDE_CODE_MAX_CONCURRENT_SUBAGENTS: String(subagentsMax),
    CLAUDE_CODE_MAX_SUBAGENT_SPAWN_DEPTH: String(subagentDepthMax),
    CLAUDE_AGENT_SDK_CLIENT_APP: 'longhaul',
    // The agent outlives its commands when memory runs out. Bash reads it only when it is not the
    // first shell: with a socket for its input the first one takes itself for a remote shell.
    BASH_ENV: shellStartPath,
    SHLVL: '1',
    ...switches,
  }
}

/** What is on or off for every agent. */
const switches = {
  CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: '1',
  CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST: '1',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  CLAUDE_CODE_DISABLE_AUTO_MEMORY: '1',
  CLAUDE_CODE_DISABLE_CRON: '1',
  CLAUDE_CODE_DISABLE_BUNDLED_SKILLS: '1',
  CLAUDE_CODE_DISABLE_WORKFLOWS: '1',
  CLAUDE_CODE_DISABLE_TERMINAL_TITLE: '1',
  // Commands in the background are work that we wait for, not memory to win back.
  CLAUDE_CODE_DISABLE_BG_SHELL_PRESSURE_REAP: '1',
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
  DISABLE_AUTOUPDATER: '1',
}
