import { z } from 'zod'
import { deadlineMinutes, onDeadline } from './approvals.ts'
import { unsupportedParams } from './unsupported.ts'

/**
 * The tools that every agent process brings along, by the Managed Agents API's names where it has
 * them. `agent` starts sub-agents; `plan` is the agent's own list of steps; `ask` asks a human.
 */
export const builtInTool = z.enum([
  'bash',
  'read',
  'write',
  'edit',
  'glob',
  'grep',
  'agent',
  'plan',
  'ask',
])
export type BuiltInTool = z.infer<typeof builtInTool>

/** What one server knows of tools, beside the built-in ones: their names. */
export interface AgentPolicy {
  readonly tools: readonly string[]
}

/** Tools that are configured by name in one agent, at most. */
const configsMax = 256
const toolNameCharsMax = 128

/** Built-in tools of the Managed Agents API that reach out by a way which the gateway does not have. */
const missingTools: readonly string[] = ['web_fetch', 'web_search']

const toolsetType = 'agent_toolset_20260401'

/** What becomes of a call: it is made, a human is asked, or it is refused. */
const policyType = z.enum(['always_allow', 'always_ask', 'always_deny'])

/** The name of a tool that the server has. */
export function toolName(policy: AgentPolicy) {
  const known: readonly string[] = [...builtInTool.options, ...policy.tools]
  return z
    .string()
    .max(toolNameCharsMax)
    .superRefine((name, context) => {
      if (known.includes(name)) return
      const isMissing = missingTools.includes(name)
      context.addIssue({
        code: 'custom',
        message: isMissing
          ? `expected another tool: ${name} is not supported`
          : `expected the name of a tool (${known.join(', ')})`,
        ...(isMissing && { params: unsupportedParams }),
      })
    })
}

/** Whether an agent has a tool, and what becomes of a call. */
const toolConfig = z.object({
  enabled: z.boolean().describe('False: the agent does not see it.'),
  permission_policy: z
    .object({
      type: policyType,
      deadline_minutes: deadlineMinutes.optional(),
      on_deadline: onDeadline.optional(),
    })
    .describe(
      'always_ask: the task waits, without a process, until a human has answered. always_deny: the agent sees it, and every call is refused.',
    ),
})
type ToolConfig = z.infer<typeof toolConfig>

/** A set of tools, as it is stored and shown: every tool of the server, with exceptions by name. */
export const toolset = z
  .object({
    type: z.literal(toolsetType),
    default_config: toolConfig,
    configs: z.array(toolConfig.extend({ name: z.string() })),
  })
  .meta({ id: 'AgentToolset' })
export type Toolset = z.infer<typeof toolset>

/** What is offered and allowed where nothing is said. */
export const defaultTools: Toolset = {
  type: toolsetType,
  default_config: { enabled: true, permission_policy: { type: 'always_allow' } },
  configs: [],
}

/** The tools of an order of an agent; what is left open comes from the default of the set. */
export function toolsets(policy: AgentPolicy) {
  const given = z.strictObject({
    enabled: z.boolean().nullish(),
    permission_policy: z
      .strictObject({
        type: z
          .enum([...policyType.options, 'auto'])
          .superRefine((type, context) => {
            if (policyType.options.some((each) => each === type)) return
            const message = `expected ${policyType.options.join(', ')}: ${type} is not supported`
            context.addIssue({ code: 'custom', message, params: unsupportedParams })
          })
          .pipe(policyType),
        deadline_minutes: deadlineMinutes.optional(),
        on_deadline: onDeadline.optional(),
      })
      .superRefine((policy, context) => {
        if (policy.type === 'always_ask') return
        for (const field of ['deadline_minutes', 'on_deadline'] as const) {
          if (policy[field] === undefined) continue
          const message = `expected none with ${policy.type}: only always_ask waits for somebody`
          context.addIssue({ code: 'custom', path: [field], message })
        }
      })
      .nullish(),
  })
  const named = given.extend({ name: toolName(policy), type: z.string().optional() })
  const set = z.strictObject({
    type: z
      .enum([toolsetType, 'mcp_toolset', 'custom'])
      .superRefine((type, context) => {
        if (type === toolsetType) return
        const message = `expected ${toolsetType}: ${type} is not supported`
        context.addIssue({ code: 'custom', message, params: unsupportedParams })
      })
      .pipe(z.literal(toolsetType)),
    default_config: given.nullish(),
    configs: z
      .array(named)
      .max(configsMax)
      .superRefine((configs, context) => {
        configs.forEach(({ name }, at) => {
          if (configs.findIndex((each) => each.name === name) === at) return
          const message = 'expected each tool once'
          context.addIssue({ code: 'custom', path: [at, 'name'], message })
        })
      })
      .optional(),
  })
  return z
    .array(set)
    .max(1)
    .transform((sets) => sets.map(({ type, ...one }) => normal(type, one)))
}

interface GivenConfig {
  readonly enabled?: boolean | null | undefined
  readonly permission_policy?: ToolConfig['permission_policy'] | null | undefined
}

function normal(
  type: Toolset['type'],
  given: {
    readonly default_config?: GivenConfig | null | undefined
    readonly configs?: readonly (GivenConfig & { readonly name: string })[] | undefined
  },
): Toolset {
  const fallback = over(defaultTools.default_config, given.default_config ?? {})
  const configs = (given.configs ?? []).map((config) => ({
    name: config.name,
    ...over(fallback, config),
  }))
  return { type, default_config: fallback, configs }
}

function over(fallback: ToolConfig, given: GivenConfig): ToolConfig {
  return {
    enabled: given.enabled ?? fallback.enabled,
    permission_policy: given.permission_policy ?? fallback.permission_policy,
  }
}

/**
 * What an agent may do with a tool: `off`, it does not see it; `ask`, a human decides about each
 * call; `deny`, its calls are refused.
 */
export type ToolAccess = 'allow' | 'ask' | 'deny' | 'off'

/** What an agent with these tools may do with one of them. */
export function toolAccess(sets: readonly Toolset[], name: string): ToolAccess {
  const config = configOf(sets, name)
  if (config?.enabled !== true) return 'off'
  return accessOf[config.permission_policy.type]
}

const accessOf = { always_allow: 'allow', always_ask: 'ask', always_deny: 'deny' } as const

/** Until when somebody may answer about a call of a tool, and what happens then, where it is said. */
export function askingPolicy(sets: readonly Toolset[], name: string) {
  const { deadline_minutes: deadlineMinutes, on_deadline: onDeadline } =
    configOf(sets, name)?.permission_policy ?? {}
  return {
    ...(deadlineMinutes === undefined ? {} : { deadlineMinutes }),
    ...(onDeadline === undefined ? {} : { onDeadline }),
  }
}

function configOf(sets: readonly Toolset[], name: string): ToolConfig | undefined {
  const [set] = sets
  return set?.configs.find((each) => each.name === name) ?? set?.default_config
}
