import { z } from 'zod'
import {
  type AgentPolicy,
  defaultTools,
  toolAccess,
  toolName,
  toolset,
  toolsets,
} from './agent-tools.ts'
import { agentId, pageOf, text, timestamp } from './common.ts'
import type { FieldError } from './errors.ts'
import { metadata, metadataPairsMax, metadataValueCharsMax, orNull, storable } from './metadata.ts'
import { taskType } from './orders.ts'
import { unsupportedField } from './unsupported.ts'

const nameCharsMax = 256
const descriptionCharsMax = 2048
const systemCharsMax = 100_000
const modelCharsMax = 128
const subagentsMax = 10
const subagentPromptCharsMax = 20_000
const subagentToolsMax = 64
const turnsMax = 1000

const effort = z.enum(['low', 'medium', 'high', 'xhigh', 'max'])

/** As a word, or as the Managed Agents API's newer object. */
const effortField = z
  .union([effort, z.strictObject({ type: effort })])
  .transform((given) => (typeof given === 'string' ? given : given.type))

const modelId = z
  .string()
  .max(modelCharsMax)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/, 'expected the id of a model such as claude-sonnet-5-5')

/** A model by its id, or with how hard it thinks. */
const modelField = z
  .union([modelId, z.strictObject({ id: modelId.nullish(), effort: effortField.nullish() })])
  .transform((given) =>
    typeof given === 'string'
      ? { id: given, effort: null }
      : { id: given.id ?? null, effort: given.effort ?? null },
  )

const subagent = z
  .object({
    name: z.string(),
    description: z.string(),
    prompt: z.string(),
    tools: z.array(z.string()).nullable().describe('Null: those of the agent.'),
    model: z.string().nullable().describe('Null: the agent’s.'),
    effort: effort.nullable(),
    max_turns: z.int().nullable(),
  })
  .meta({ id: 'Subagent' })

/** What a version of an agent says: never changed once it is stored. */
export const agentContent = z.object({
  name: z.string(),
  description: z.string().nullable(),
  model: z.object({
    id: z
      .string()
      .nullable()
      .describe('Null: the server’s `MODEL`, or what the Agent SDK chooses.'),
    effort: effort.nullable(),
  }),
  system: z.string().nullable(),
  tools: z.array(toolset),
  subagents: z.array(subagent),
  max_turns: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
})
export type AgentContent = z.infer<typeof agentContent>

/** A change of an agent: an absent field stays. Of metadata each key for itself; null deletes it. */
export type AgentPatch = Partial<Omit<AgentContent, 'metadata'>> & {
  readonly metadata?: Readonly<Record<string, string | null>> | null
}

function contentFields(policy: AgentPolicy) {
  const subagentField = z.strictObject({
    name: z
      .string()
      .regex(
        /^[a-z][a-z0-9-]{0,63}$/,
        'expected lower-case letters, digits and hyphens, such as reviewer',
      ),
    description: text(descriptionCharsMax).describe('When the agent should start it.'),
    prompt: text(subagentPromptCharsMax).describe('Its system prompt.'),
    tools: z.array(toolName(policy)).max(subagentToolsMax).nullable().default(null),
    model: modelId.nullable().default(null),
    effort: effortField.nullable().default(null),
    max_turns: turns.nullable().default(null),
  })
  return {
    description: storable(descriptionCharsMax).nullable().transform(orNull),
    model: modelField.describe('The id of a model, or `{id, effort}`.'),
    system: storable(systemCharsMax)
      .nullable()
      .transform(orNull)
      .describe(
        'Appended to the Agent SDK’s own system prompt, and followed by what the task’s type fixes.',
      ),
    tools: toolsets(policy)
      .nullable()
      .transform((sets) => sets ?? [])
      .describe('At most one toolset; an empty list: no tools at all.'),
    subagents: z
      .array(subagentField)
      .max(subagentsMax)
      .superRefine((all, context) => {
        all.forEach(({ name }, at) => {
          if (all.findIndex((each) => each.name === name) === at) return
          const message = 'expected each name once'
          context.addIssue({ code: 'custom', path: [at, 'name'], message })
        })
      })
      .nullable()
      .transform((all) => all ?? [])
      .describe('Agents that it may start for a part of the work.'),
    max_turns: turns.nullable().describe('Model turns after which it is stopped; null: 300.'),
    mcp_servers: unsupportedField('MCP servers of an agent'),
    skills: unsupportedField('skills'),
    multiagent: unsupportedField('rosters of agents'),
    execution_identity: unsupportedField('execution identities'),
  } as const
}

const turns = z.int().min(1).max(turnsMax)

/** `POST /v1/agents` → the first version, on a server with this policy. */
export function agentCreate(policy: AgentPolicy) {
  const fields = contentFields(policy)
  return z
    .strictObject({
      ...fields,
      name: text(nameCharsMax),
      description: fields.description.optional(),
      model: fields.model.nullish(),
      system: fields.system.optional(),
      tools: fields.tools.optional(),
      subagents: fields.subagents.optional(),
      max_turns: fields.max_turns.optional(),
      metadata: metadata(z.string().max(metadataValueCharsMax)).optional(),
    })
    .meta({ id: 'AgentCreate' })
    .transform(
      (given): AgentContent => ({
        name: given.name,
        description: given.description ?? null,
        model: given.model ?? { id: null, effort: null },
        system: given.system ?? null,
        tools: given.tools ?? [defaultTools],
        subagents: given.subagents ?? [],
        max_turns: given.max_turns ?? null,
        metadata: given.metadata ?? {},
      }),
    )
}

/** `POST /v1/agents/{id}` → the change, and the version that it was made from, if that was said. */
export function agentUpdate(policy: AgentPolicy) {
  const fields = contentFields(policy)
  return z
    .strictObject({
      ...fields,
      version: z
        .int()
        .min(1)
        .optional()
        .describe('The version that is changed: 409 if it is not the newest any more.'),
      name: text(nameCharsMax).optional(),
      description: fields.description.optional(),
      model: fields.model.nullish(),
      system: fields.system.optional(),
      tools: fields.tools.optional(),
      subagents: fields.subagents.optional(),
      max_turns: fields.max_turns.optional(),
      metadata: metadata(z.string().max(metadataValueCharsMax).nullable()).nullish(),
    })
    .meta({ id: 'AgentUpdate' })
    .transform(
      ({
        version,
        model,
        mcp_servers: _m,
        skills: _s,
        multiagent: _a,
        execution_identity: _e,
        ...same
      }) => ({
        version: version ?? null,
        patch: withoutAbsent({
          ...same,
          model: model === null ? { id: null, effort: null } : model,
        }),
      }),
    )
}

/** The agent with the change. */
export function patchAgent(content: AgentContent, patch: AgentPatch): AgentContent {
  const { metadata: pairs, ...rest } = patch
  if (pairs === undefined) return { ...content, ...rest }
  const merged = Object.entries({ ...(pairs === null ? {} : content.metadata), ...pairs })
  const kept = merged.filter((pair): pair is [string, string] => pair[1] !== null)
  return { ...content, ...rest, metadata: Object.fromEntries(kept) }
}

/** What is wrong with an agent as a whole, field by field. */
export function agentProblems({ tools, subagents, metadata: pairs }: AgentContent): FieldError[] {
  const problems: FieldError[] = []
  if (Object.keys(pairs).length > metadataPairsMax)
    problems.push({ field: 'metadata', message: `expected at most ${metadataPairsMax} pairs` })
  if (subagents.length > 0 && !['allow', 'ask'].includes(toolAccess(tools, 'agent')))
    problems.push({
      field: 'subagents',
      message: 'expected none, since the tool agent, which starts them, is not allowed',
    })
  subagents.forEach((one, at) => {
    for (const [n, name] of (one.tools ?? []).entries())
      if (toolAccess(tools, name) !== 'allow')
        problems.push({
          field: `subagents.${at}.tools.${n}`,
          message: `expected a tool that the agent itself may use, got ${JSON.stringify(name)}`,
        })
  })
  return problems
}

/** An agent of a version, as `/v1` shows it. */
export const agent = z
  .object({
    type: z.literal('agent'),
    id: agentId,
    version: z.int(),
    ...agentContent.shape,
    model: z.object({
      id: agentContent.shape.model.shape.id,
      effort: z.object({ type: effort }).optional(),
    }),
    task_type: taskType
      .nullable()
      .describe('Of a seeded agent: tasks of this type that name no agent have it.'),
    created_by: z.string().nullable().describe('Who made this version; null: the server itself.'),
    created_at: timestamp,
    updated_at: timestamp.describe('When this version was made.'),
    archived_at: timestamp.nullable(),
  })
  .meta({ id: 'Agent' })
export type Agent = z.infer<typeof agent>

/** A page of agents, newest first, or of one agent's versions, newest first. */
export const agentPage = pageOf('AgentPage', agent)

function withoutAbsent<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
