import {
  createSdkMcpServer,
  type McpSdkServerConfigWithInstance,
} from '@anthropic-ai/claude-agent-sdk'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { McpServer } from '../../tools-file/custom-tool.ts'
import { toolServerName } from './names.ts'
import { type Tool, ToolRefused } from './tool.ts'

/** The typed tools of one agent, and what may be done with them. */
export interface Toolbox {
  readonly tools: readonly Tool[]
  /** MCP servers of the operator's, whose tools the agent has as well. */
  readonly servers: readonly McpServer[]
  /** `off`: the agent does not see it. `deny`: it does, and every call is refused. */
  readonly policy: (toolName: string) => 'allow' | 'ask' | 'deny' | 'off'
  /** Told of every call of a tool that exists, after its end. Must not throw. */
  readonly observe: (call: ToolCall) => void
}

/** How a call of a tool ended. */
export interface ToolCall {
  readonly tool: string
  /** `refused`: the agent's mistake; `failed`: ours, or of what the tool relies on. */
  readonly outcome: 'succeeded' | 'refused' | 'denied' | 'timed_out' | 'cancelled' | 'failed'
  readonly durationMs: number
}

/** Milliseconds of a call that has no bound of its own. */
const toolMsMax = 60_000
/** The CLI must not give a call up before we do: it gets this much longer. */
const answerMsMax = 30_000
/**
 * Characters of an answer. The CLI counts a longer one by asking the model's API for it from 12,500
 * estimated tokens on, at four characters each, and refuses it at 25,000.
 */
const answerCharsMax = 40_000
/** Calls of one agent at once; the CLI itself makes ten at most, each of its subagents as well. */
const callsMax = 32

interface ServerOptions extends Omit<Toolbox, 'servers'> {
  readonly clock: Clock
  readonly log: Log
  readonly sessionId: string
  /** Ends every call. */
  readonly signal: AbortSignal
}

/**
 * The tools as a server inside this process, for one agent process: the SDK carries its calls over
 * the process's own pipes. Whatever happens to a call is an answer; what it says is untrusted.
 */
export function toolServer(o: ServerOptions): McpSdkServerConfigWithInstance {
  const offered = o.tools.filter((tool) => o.policy(tool.name) !== 'off')
  const timeout = answerMsMax + Math.max(toolMsMax, ...offered.map(boundOf))
  const config = createSdkMcpServer({ name: toolServerName, tools: [], timeout })
  const { server } = config.instance
  let calls = 0
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: offered.map(listed) }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal }) => {
    const tool = offered.find(({ name }) => name === params.name)
    if (tool === undefined) return said(`There is no tool ${params.name.slice(0, 100)}.`, true)
    const startedMs = o.clock.now()
    calls += 1
    const { outcome, text } = await answer(o, {
      ...{ tool, input: params.arguments ?? {}, isBusy: calls > callsMax },
      signal: AbortSignal.any([o.signal, signal]),
    }).finally(() => {
      calls -= 1
    })
    o.observe({ tool: tool.name, outcome, durationMs: o.clock.now() - startedMs })
    return said(text, outcome !== 'succeeded')
  })
  return config
}

interface Call {
  readonly tool: Tool
  readonly input: unknown
  readonly isBusy: boolean
  readonly signal: AbortSignal
}

interface Answer {
  readonly outcome: ToolCall['outcome']
  readonly text: string
}

async function answer(o: ServerOptions, call: Call): Promise<Answer> {
  const { tool } = call
  // What a human is asked about was decided before the call came here.
  if (o.policy(tool.name) === 'deny')
    return { outcome: 'denied', text: `The agent's profile does not allow ${tool.name}.` }
  if (call.isBusy) return refused(`More than ${callsMax} tool calls at once; wait for their ends.`)
  const parsed = tool.input.safeParse(call.input)
  if (!parsed.success) return refused(problemsOf(tool, parsed.error))
  const late = new AbortController()
  using _timer = o.clock.after(boundOf(tool), () => late.abort(new Error('it took too long')))
  const signal = AbortSignal.any([call.signal, late.signal])
  try {
    const text = await settled(tool.run(parsed.data, { signal }), signal)
    return { outcome: 'succeeded', text: bounded(text) }
  } catch (error) {
    if (call.signal.aborted) return { outcome: 'cancelled', text: 'The call was cancelled.' }
    if (late.signal.aborted) {
      const text = `${tool.name} took longer than ${boundOf(tool) / 1000} s and was ended.`
      return { outcome: 'timed_out', text }
    }
    if (error instanceof ToolRefused) return refused(error.message)
    o.log.error({ err: error, sessionId: o.sessionId, tool: tool.name }, 'a tool call failed')
    const text = `${tool.name} failed for a reason that is not yours. Try again, or do without.`
    return { outcome: 'failed', text }
  }
}

/** The run's end, or the signal's: a run that pays no attention to it is not waited for. */
async function settled<T>(run: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    if (signal.aborted) onAbort()
    return await Promise.race([run, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    run.catch(() => undefined) // Nobody is left to hear of it.
  }
}

function boundOf(tool: Tool): number {
  return tool.timeoutMs ?? toolMsMax
}

function listed(tool: Tool) {
  const { $schema: _, ...schema } = z.toJSONSchema(tool.input, { io: 'input' })
  return {
    name: tool.name,
    description: tool.description,
    inputSchema: { ...schema, type: 'object' as const },
    annotations: { readOnlyHint: tool.readOnly },
    // Not behind the CLI's tool search: the agent knows it from its first turn on.
    _meta: { 'anthropic/alwaysLoad': true },
  }
}

function problemsOf(tool: Tool, error: z.ZodError): string {
  const problems = error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  )
  return `The input of ${tool.name} is not valid. ${problems.join('; ')}.`
}

function refused(text: string): Answer {
  return { outcome: 'refused', text: bounded(text) }
}

/** Its beginning; a tool that has more to say offers a way to ask for less. */
function bounded(text: string): string {
  if (text.length <= answerCharsMax) return text.toWellFormed()
  const left = text.length - answerCharsMax
  return `${text.slice(0, answerCharsMax).toWellFormed()}\n[${left} characters left out]`
}

function said(text: string, isError: boolean) {
  return { content: [{ type: 'text' as const, text }], isError }
}
