import {
  type AgentContent,
  askingPolicy,
  builtInTool,
  type QuestionRequest,
  toolAccess,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { questionTool, sdkTools } from '../agent/built-in-tools.ts'
import type { TurnDeferred } from '../agent/open.ts'
import type { Permission } from '../agent/permissions.ts'
import { sdkToolName } from '../agent/tools/names.ts'
import type { Toolbox } from '../agent/tools/server.ts'
import { listDecided } from '../store/approvals.ts'
import type { Db } from '../store/tables.ts'
import type { Parking } from '../tasks/park.ts'

/** Bytes of a call's input that a human is shown; one that is larger is refused, not cut. */
const inputBytesMax = 512 * 1024

/** What an agent may do with its tools, and what humans have decided about its calls so far. */
export async function permissionOf(
  db: Db,
  o: {
    readonly sessionId: string
    readonly agent: AgentContent
    readonly toolbox: Toolbox
    /** The SDK's names of its built-in tools. */
    readonly tools: readonly string[]
  },
): Promise<Permission> {
  const { agent, toolbox, tools } = o
  const typed = toolbox.tools.map(({ name }) => name)
  const access = (name: string): 'allow' | 'ask' | 'deny' => {
    const found = typed.includes(name) ? toolbox.policy(name) : toolAccess(agent.tools, name)
    return found === 'off' ? 'deny' : found
  }
  const sdkNames = [...tools, ...typed.map(sdkToolName)]
  const named = [...sdkNames.map(toolNameOf), ...toolbox.servers.map(({ name }) => name)]
  const decided = await listDecided(db, o.sessionId)
  return {
    nameOf: toolNameOf,
    access,
    // Calls of the others that are refused come to the server, which refuses them itself.
    denied: tools.filter((name) => access(toolNameOf(name)) === 'deny'),
    asks: tools.includes(questionTool) || named.some((name) => access(name) === 'ask'),
    decided: decided.map(({ tool_use_id: toolUseId, request, answer }) => ({
      ...{ toolUseId, answer },
      tool: 'tool' in request ? request.tool : null,
    })),
  }
}

/** The name of a tool in the agent's profile; of an MCP server's tools it is the server's. */
function toolNameOf(sdkName: string): string {
  const builtIn = builtInTool.options.find((name) => sdkTools[name].includes(sdkName))
  if (builtIn !== undefined) return builtIn
  const [, server = '', tool = ''] = /^mcp__(.+?)__(.+)$/.exec(sdkName) ?? []
  if (server === '') return sdkName
  return sdkToolName(tool) === sdkName ? tool : server
}

/** What a call that waits for a human is parked for; a sentence: nobody can be asked about it. */
export function parkingOf(
  agent: AgentContent,
  { id, name: sdkName, input }: TurnDeferred['call'],
): Parking | string {
  const name = toolNameOf(sdkName)
  const policy = askingPolicy(agent.tools, name)
  if (Buffer.byteLength(JSON.stringify(input)) > inputBytesMax)
    return `The input of ${name} is larger than ${inputBytesMax} bytes, too large to ask about.`
  if (sdkName !== questionTool) {
    const request = { tool: name, tool_use_id: id, input: { ...input } }
    return {
      reason: 'waiting_approval',
      message: `The agent waits for an approval of a call of ${name}.`,
      question: { kind: 'tool_permission', request, toolUseId: id, ...policy },
    }
  }
  const asked = questions.safeParse(input)
  if (!asked.success) return 'The question was not in the form of the tool.'
  const request: QuestionRequest = { tool_use_id: id, questions: asked.data.questions }
  return {
    reason: 'waiting_answer',
    question: { kind: 'question', request, toolUseId: id, ...policy },
  }
}

/** The input of the question tool, as far as a human is shown it. */
const questions = z.object({
  questions: z
    .array(
      z
        .object({
          question: z.string(),
          header: z.string().default(''),
          multiSelect: z.boolean().default(false),
          options: z
            .array(z.object({ label: z.string(), description: z.string().default('') }))
            .default([]),
        })
        .transform(({ multiSelect, ...rest }) => ({ ...rest, multi_select: multiSelect })),
    )
    .min(1),
})
