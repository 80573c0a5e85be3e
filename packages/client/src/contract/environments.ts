import { z } from 'zod'
import { check, environmentId, pageOf, text, timestamp } from './common.ts'
import type { FieldError } from './errors.ts'
import { metadata, metadataPairsMax, metadataValueCharsMax, orNull, storable } from './metadata.ts'
import { isUnsupportedEmpty, unsupportedParams } from './unsupported.ts'

const nameCharsMax = 256
const descriptionCharsMax = 2048
const hostsMax = 100
const packagesMax = 50
const secretsMax = 50
/** All that an unrestricted network opens, whatever the host. */
const webPorts: readonly number[] = [80, 443]
/** Of a host that is named without one. */
const defaultPort = '443'

/** `host` (port 443) or `host:port`, in lower case; no addresses, no wildcards. */
const host = z
  .string()
  .max(260)
  .superRefine(check(hostProblem))
  .transform((given) => given.toLowerCase())

const networking = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('none').describe('Nothing but the model, git and GitHub of the task.'),
  }),
  z.strictObject({
    type: z.literal('limited'),
    allowed_hosts: z.array(host).max(hostsMax).default([]),
    allow_package_managers: z
      .boolean()
      .default(false)
      .describe('The registries that the server is configured for, or what GATEWAY_ALLOW lists.'),
    allow_mcp_servers: z.boolean().default(false).describe('MCP servers of the operator’s.'),
  }),
  z.strictObject({
    type: z
      .literal('unrestricted')
      .describe('Any public host on ports 80 and 443; private addresses stay closed.'),
  }),
])
export type Networking = z.output<typeof networking>

/** What a session may take of its host; null: the server's setting. Bounds are the server's own. */
const limitFields = {
  memory_mib: z.int().min(256).max(1_048_576),
  cpus: z.number().min(0.1).max(256),
  processes: z.int().min(64).max(32_768),
  open_files: z.int().min(256).max(1_048_576),
  tmp_mib: z.int().min(16).max(65_536),
  disk_mib: z.int().min(64).max(16_777_216),
} as const

const limits = z.strictObject({
  memory_mib: limitFields.memory_mib.nullable().default(null),
  cpus: limitFields.cpus.nullable().default(null),
  processes: limitFields.processes.nullable().default(null),
  open_files: limitFields.open_files.nullable().default(null),
  tmp_mib: limitFields.tmp_mib.nullable().default(null),
  disk_mib: limitFields.disk_mib.nullable().default(null),
})
export type EnvironmentLimits = z.output<typeof limits>
const noLimits: EnvironmentLimits = limits.parse({})

/** A package as npm names it, with a version or a tag: nothing that npm would fetch from elsewhere. */
const npmPackage = z
  .string()
  .max(214)
  .regex(
    /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*(@[a-zA-Z0-9^~.*-]+)?$/,
    'expected a package of the registry, such as typescript@5.9.2',
  )

const otherPackages = z
  .unknown()
  .superRefine((value, context) => {
    if (isUnsupportedEmpty(value)) return
    const message = 'expected none: only npm packages are supported'
    context.addIssue({ code: 'custom', message, params: unsupportedParams })
  })
  .optional()
  .describe('Not supported: must be absent, null or empty.')

const packages = z
  .strictObject({
    type: z.literal('packages').optional(),
    npm: z.array(npmPackage).max(packagesMax).nullish(),
    ...{ apt: otherPackages, cargo: otherPackages, gem: otherPackages },
    ...{ go: otherPackages, pip: otherPackages },
  })
  .transform(({ npm }) => ({ npm: [...new Set(npm ?? [])].sort() }))

const config = z
  .strictObject({
    type: z.enum(['cloud', 'self_hosted']).superRefine((type, context) => {
      if (type === 'cloud') return
      const message = 'expected cloud, this server’s own sandbox: self_hosted is not supported'
      context.addIssue({ code: 'custom', message, params: unsupportedParams })
    }),
    networking: networking.nullish(),
    packages: packages.nullish(),
    allow_model_fetch: z
      .boolean()
      .default(false)
      .describe('Whether the model’s provider may fetch URLs for the agent: no wall sees that.'),
  })
  .transform((given) => ({
    type: 'cloud' as const,
    networking: given.networking ?? ({ type: 'none' } as const),
    packages: given.packages ?? { npm: [] },
    allow_model_fetch: given.allow_model_fetch,
  }))

const secretName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'expected the name of a secret, such as STRIPE')

/** What a version of an environment says: never changed once it is stored. */
export const environmentContent = z.object({
  name: z.string(),
  description: z.string().nullable(),
  config: z.object({
    type: z.literal('cloud'),
    networking,
    packages: z.object({ npm: z.array(z.string()) }),
    allow_model_fetch: z.boolean(),
  }),
  limits,
  secrets: z.array(z.string()).describe('Names of the operator’s secrets that it may use.'),
  metadata: z.record(z.string(), z.string()),
})
export type EnvironmentContent = z.output<typeof environmentContent>

/** A change of an environment: an absent field stays. Of metadata each key for itself. */
export type EnvironmentPatch = Partial<Omit<EnvironmentContent, 'metadata'>> & {
  readonly metadata?: Readonly<Record<string, string | null>> | null
}

const contentFields = {
  description: storable(descriptionCharsMax).nullable().transform(orNull),
  config,
  limits: limits.nullable().transform((given) => given ?? noLimits),
  secrets: z
    .array(secretName)
    .max(secretsMax)
    .nullable()
    .transform((names) => [...new Set(names ?? [])].sort()),
} as const

/** `POST /v1/environments` → the first version. */
export const environmentCreate = z
  .strictObject({
    name: text(nameCharsMax),
    description: contentFields.description.optional(),
    config: contentFields.config,
    limits: contentFields.limits.optional(),
    secrets: contentFields.secrets.optional(),
    metadata: metadata(z.string().max(metadataValueCharsMax)).optional(),
  })
  .meta({ id: 'EnvironmentCreate' })
  .transform(
    (given): EnvironmentContent => ({
      name: given.name,
      description: given.description ?? null,
      config: given.config,
      limits: given.limits ?? noLimits,
      secrets: given.secrets ?? [],
      metadata: given.metadata ?? {},
    }),
  )

/** `POST /v1/environments/{id}` → the change, and the version that it was made from, if that was said. */
export const environmentUpdate = z
  .strictObject({
    version: z
      .int()
      .min(1)
      .optional()
      .describe('The version that is changed: 409 if it is not the newest any more.'),
    name: text(nameCharsMax).optional(),
    description: contentFields.description.optional(),
    config: contentFields.config.optional(),
    limits: contentFields.limits.optional(),
    secrets: contentFields.secrets.optional(),
    metadata: metadata(z.string().max(metadataValueCharsMax).nullable()).nullish(),
  })
  .meta({ id: 'EnvironmentUpdate' })
  .transform(({ version, ...fields }) => ({
    version: version ?? null,
    patch: Object.fromEntries(
      Object.entries(fields).filter(([, value]) => value !== undefined),
    ) as EnvironmentPatch,
  }))

/** The environment with the change. */
export function patchEnvironment(
  content: EnvironmentContent,
  patch: EnvironmentPatch,
): EnvironmentContent {
  const { metadata: pairs, ...rest } = patch
  if (pairs === undefined) return { ...content, ...rest }
  const merged = Object.entries({ ...(pairs === null ? {} : content.metadata), ...pairs })
  const kept = merged.filter((pair): pair is [string, string] => pair[1] !== null)
  return { ...content, ...rest, metadata: Object.fromEntries(kept) }
}

/** What is wrong with an environment as a whole. */
export function environmentProblems({ metadata: pairs }: EnvironmentContent): FieldError[] {
  return Object.keys(pairs).length > metadataPairsMax
    ? [{ field: 'metadata', message: `expected at most ${metadataPairsMax} pairs` }]
    : []
}

/** An environment of a version, as `/v1` shows it. */
export const environment = z
  .object({
    type: z.literal('environment'),
    id: environmentId,
    version: z.int(),
    ...environmentContent.shape,
    is_default: z
      .boolean()
      .describe('Tasks have it that name none, in repositories that name none.'),
    created_by: z.string().nullable().describe('Who made this version; null: the server itself.'),
    created_at: timestamp,
    updated_at: timestamp.describe('When this version was made.'),
    archived_at: timestamp.nullable(),
  })
  .meta({ id: 'Environment' })
export type Environment = z.infer<typeof environment>

/** A page of environments, newest first, or of one environment's versions, newest first. */
export const environmentPage = pageOf('EnvironmentPage', environment)

/** An environment in an order: its newest version, or the one that is named. */
export const environmentReference = z
  .union([
    environmentId,
    z.strictObject({
      type: z.literal('environment').optional(),
      id: environmentId,
      version: z.int().min(1).optional(),
    }),
  ])
  .transform(
    (given): EnvironmentReference =>
      typeof given === 'string'
        ? { id: given }
        : { id: given.id, ...(given.version !== undefined && { version: given.version }) },
  )
  .describe(
    'Where it runs: an id, or `{type: "environment", id, version}`; absent: that of the repository, or the default. One that allows more than that needs a key with the scope environments:write.',
  )

/** An environment, and its version unless the newest is meant. */
export interface EnvironmentReference {
  readonly id: string
  readonly version?: number
}

/** The version of an environment that a task has, for good. */
export const environmentPin = z
  .object({ type: z.literal('environment'), id: environmentId, version: z.int() })
  .meta({ id: 'EnvironmentPin' })

/** What an order changes of its environment. */
export const sandboxOverrides = z
  .strictObject({
    networking: networking.optional(),
    limits: z.strictObject(limitFields).partial().optional(),
  })
  .describe(
    'Narrows the environment for this task: fewer hosts, lower limits. More than it allows needs a key with the scope environments:write.',
  )
export type SandboxOverrides = z.output<typeof sandboxOverrides>

/** The environment as an order changes it. */
export function overridden(
  content: EnvironmentContent,
  { networking: network, limits: given = {} }: SandboxOverrides,
): EnvironmentContent {
  const present = Object.entries(given).filter(([, value]) => value !== undefined)
  return {
    ...content,
    config: { ...content.config, ...(network && { networking: network }) },
    limits: { ...content.limits, ...Object.fromEntries(present) },
  }
}

/**
 * What of an environment is more than another one allows, field by field: `expected at most …`. Limits
 * that are not said are the server's, `defaults`.
 */
export function widened(
  base: EnvironmentContent,
  wanted: EnvironmentContent,
  defaults: Readonly<Record<keyof EnvironmentLimits, number>>,
): FieldError[] {
  const problems: FieldError[] = [
    ...networkWidened(base.config.networking, wanted.config.networking),
  ]
  for (const name of Object.keys(limitFields) as (keyof EnvironmentLimits)[]) {
    const most = base.limits[name] ?? defaults[name]
    const given = wanted.limits[name] ?? defaults[name]
    if (given > most)
      problems.push({ field: `limits.${name}`, message: `expected at most ${most}, got ${given}` })
  }
  const secret = wanted.secrets.find((name) => !base.secrets.includes(name))
  if (secret !== undefined)
    problems.push({ field: 'secrets', message: `expected none but those allowed, got ${secret}` })
  if (wanted.config.allow_model_fetch && !base.config.allow_model_fetch)
    problems.push({ field: 'allow_model_fetch', message: 'expected false' })
  return problems
}

function networkWidened(base: Networking, wanted: Networking): FieldError[] {
  const field = 'networking'
  if (wanted.type === 'none' || (wanted.type === base.type && wanted.type === 'unrestricted'))
    return []
  if (wanted.type === 'unrestricted' || base.type === 'none')
    return [
      { field: `${field}.type`, message: `expected ${base.type} or less, got ${wanted.type}` },
    ]
  const problems: FieldError[] = []
  wanted.allowed_hosts.forEach((name, at) => {
    const message = hostWidened(base, name)
    if (message !== null) problems.push({ field: `${field}.allowed_hosts.${at}`, message })
  })
  // An unrestricted network has the registries and the MCP servers with it.
  if (base.type === 'unrestricted') return problems
  for (const flag of ['allow_package_managers', 'allow_mcp_servers'] as const)
    if (wanted[flag] && !base[flag])
      problems.push({ field: `${field}.${flag}`, message: 'expected false' })
  return problems
}

/** Why the network does not reach a host that is named; null if it does. */
function hostWidened(base: Exclude<Networking, { type: 'none' }>, name: string): string | null {
  if (base.type === 'limited')
    return base.allowed_hosts.includes(name)
      ? null
      : `expected a host that the environment allows, got ${JSON.stringify(name)}`
  const [, port = defaultPort] = name.split(':')
  return webPorts.includes(Number(port))
    ? null
    : `expected a host on port ${webPorts.join(' or ')}, which is all that unrestricted allows, got ${JSON.stringify(name)}`
}

function hostProblem(given: string): string | null {
  const [, name = '', port] = /^([a-z0-9.-]+)(?::(\d{1,5}))?$/i.exec(given) ?? []
  const labels = name.split('.')
  const isName =
    name.length <= 253 &&
    labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? '')
  const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65_535)
  return isName && isPort ? null : 'expected host or host:port, such as registry.example.com:8443'
}
