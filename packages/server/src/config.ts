import { resolve } from 'node:path'
import { z } from 'zod'
import {
  type AllowedHost,
  allowedHosts,
  count,
  dockerEngine,
  dollars,
  type HostPort,
  hostPorts,
  httpUrl,
  images,
  modelNames,
  repositories,
  secret,
  type WorkerConfig,
  workerConfigOf,
  workerFields,
  workspaceFields,
} from './config-fields.ts'
import { type Credentials, readCredentials } from './credentials-file/load.ts'
import { logLevels } from './log.ts'
import type { PriceList } from './prices/list.ts'
import { readPrices } from './prices/load.ts'
import type { UnknownModel } from './prices/price-table.ts'
import type { CustomTool } from './tools-file/custom-tool.ts'
import { readToolsFile } from './tools-file/load.ts'

export { type AllowedHost, type HostPort, isPreset, type Preset } from './config-fields.ts'

/**
 * Every setting the server reads, in one place. `loadConfig` is the only code that looks at the
 * environment; everything else is handed the frozen object it returns. No setting is required.
 */
const schema = z
  .object({
    HOST: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
    PORT: count(0, 65_535).default(8420).describe('HTTP port; 0 picks a free one.'),
    PUBLIC_URL: httpUrl()
      .optional()
      .describe(
        'Where people reach this server, for links in pull requests; default: the address that it listens on.',
      ),
    DATA_DIR: z
      .string()
      .min(1)
      .default(process.getuid?.() === 0 ? '/var/lib/longhaul' : './data')
      .describe(
        'Directory of the embedded store and the workspaces. As root it must be traversable by other users; default /var/lib/longhaul as root, ./data otherwise.',
      ),
    DATABASE_URL: z
      .url({ protocol: /^postgres(ql)?$/ })
      .optional()
      .describe('External PostgreSQL 16 or newer; without it one is started in DATA_DIR.'),
    LONGHAUL_API_KEY: z
      .string()
      .min(16)
      .max(256)
      .regex(/^[\x21-\x7e]+$/, 'expected printable characters without spaces')
      .optional()
      .describe('First API key, 16 to 256 characters; minted and printed once if absent.'),
    ANTHROPIC_API_KEY: secret().describe('Model key, sent as x-api-key by the gateway.'),
    ANTHROPIC_AUTH_TOKEN: secret().describe('Model token, sent as a bearer by the gateway.'),
    ANTHROPIC_BASE_URL: httpUrl()
      .prefault('https://api.anthropic.com')
      .describe('Base URL of the Messages API or of any compatible gateway.'),
    MODEL: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('Model of agents that name none; without it the Agent SDK chooses.'),
    MODELS_ALLOW: modelNames()
      .default([])
      .describe(
        'Models that any agent’s session may ask for beside those that its profile names and the small ones of the haiku family, comma-separated; `*`: any model.',
      ),
    PRICES_FILE: z
      .string()
      .min(1)
      .optional()
      .describe(
        'JSON file of what models cost, in place of the list prices of the house; see budgets.md.',
      ),
    KEY_DAY_BUDGET_USD: dollars()
      .optional()
      .describe(
        'US dollars that the tasks of one API key may spend on models in a day of UTC, unless the key says otherwise; absent: as much as their own budgets allow.',
      ),
    UNKNOWN_MODEL: z
      .enum(['dearest', 'refuse'])
      .default('dearest')
      .describe(
        'What happens to requests for a model without a known price: counted as the dearest, or refused.',
      ),
    GITHUB_TOKEN: secret().describe('Token for clones, pushes and pull requests on GITHUB_URL.'),
    GITHUB_APP_ID: z
      .string()
      .regex(/^[\w.]{1,64}$/, 'expected the id of the app, or its client id')
      .optional()
      .describe(
        'GitHub App to use instead of a token; each repository has tokens of its own. See credentials.md.',
      ),
    GITHUB_APP_PRIVATE_KEY_FILE: z
      .string()
      .min(1)
      .optional()
      .describe('Its private key, a PEM file.'),
    CREDENTIALS_FILE: z
      .string()
      .min(1)
      .optional()
      .describe(
        'JSON file of credentials for single repositories and owners, and of secrets for tasks, read at the start; see credentials.md and secrets.md.',
      ),
    GITHUB_URL: httpUrl().prefault('https://github.com').describe('GitHub, or GitHub Enterprise.'),
    GITHUB_API_URL: httpUrl().prefault('https://api.github.com').describe('Its REST API.'),
    GIT_READ_ALLOW: repositories()
      .default([])
      .describe(
        "Other repositories that agents may clone to read, `owner/name` or `owner/*`, comma-separated, on the host of their task's own; on GITHUB_URL with the credential of each, so whoever orders work can see what is in them.",
      ),
    SANDBOX: z
      .enum(['bubblewrap', 'none'])
      .default('bubblewrap')
      .describe('The walls; `none` runs agents without any, as the server itself.'),
    SANDBOX_MEMORY_MIB: count(256, 1_048_576)
      .default(2048)
      .describe(
        'MiB of memory that all processes of a session may take together, the agent included; TASK_CONCURRENCY times as much should fit into the host.',
      ),
    SANDBOX_CPUS: z.coerce
      .number()
      .min(0.1)
      .max(1024)
      .default(1)
      .describe('Processors that a session may use, 0.1 to 1024; `1.5` is one and a half.'),
    SANDBOX_PROCESSES: count(64, 32_768)
      .default(512)
      .describe('Processes and threads that a session may have at once, the agent’s own included.'),
    SLOT_UID_BASE: count(1000, 2_147_482_647)
      .optional()
      .describe('First of the sandboxes’ 1000 uids below a root server; see sandbox.md.'),
    SANDBOX_DISK_MIB: count(64, 16_777_216)
      .default(5120)
      .describe(
        'MiB of disk that a session may fill: its clone, packages and caches, beside its /tmp; a session keeps the size it began with.',
      ),
    DISK_FLOOR_MIB: count(0, 16_777_216)
      .default(1024)
      .describe(
        'MiB that the disk of DATA_DIR has to have left for a task to be begun; below it tasks wait in the queue, and those that run go on. 0: no floor.',
      ),
    SANDBOX_REQUIRE_LIMITS: z
      .stringbool()
      .default(false)
      .describe(
        'Whether the server refuses to start where control groups do not hold memory and processes; without it a watchdog does there, less exactly.',
      ),
    GATEWAY_ALLOW: allowedHosts()
      .prefault('package_registries')
      .describe(
        'Hosts an agent may reach, `host` or `host:port` (443), comma-separated; `package_registries`: those that the package managers of this host are configured for.',
      ),
    GATEWAY_ALLOW_PRIVATE: hostPorts()
      .default([])
      .describe('`host:port` list that may resolve to private addresses.'),
    CALLBACK_ALLOW: hostPorts()
      .default([])
      .describe(
        '`host:port` list of callback receivers and webhook endpoints that may be private or plain http.',
      ),
    CALLBACK_SECRET: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/=]{32,128}$/, 'expected `whsec_` and base64')
      .optional()
      .describe('Standard Webhooks secret that signs callbacks; minted at first start if absent.'),
    REPOSITORY_CACHE_GIB: count(0, 100_000)
      .default(20)
      .describe(
        'GiB on disk for mirrors of repositories and package managers’ caches, which make the next task of a repository start sooner; 0: none are kept.',
      ),
    ...workspaceFields,
    RETENTION_RECORDINGS_DAYS: count(1, 36_500)
      .optional()
      .describe(
        'Days after its end that a task keeps its transcript and artifacts; absent: for ever.',
      ),
    RETENTION_TASKS_DAYS: count(1, 36_500)
      .optional()
      .describe(
        'Days after its end that a task is kept at all, with its log; then it is deleted. Absent: for ever.',
      ),
    QUEUE_WAIT_ALERT_MINUTES: count(0, 10_080)
      .default(15)
      .describe(
        'Minutes after which a task that could start and has no slot raises an alert; 0: never.',
      ),
    ...workerFields,
    BASH_TIMEOUT_SECONDS: count(1, 82_800)
      .default(300)
      .describe(
        'Seconds a shell command of the agent may take before it is moved to the background.',
      ),
    TOOLS_FILE: z
      .string()
      .min(1)
      .optional()
      .describe('JSON file of custom tools for agents, read at the start; see tools.md.'),
    DOCKER_ENGINE: dockerEngine()
      .optional()
      .describe(
        'Docker engine for images of the workspace, `unix:///path` or `http://host:port`; see docker.md. Without it agents have no Docker tools.',
      ),
    DOCKER_BASE_IMAGES: images()
      .default([])
      .describe(
        'Images that agents may build from, comma-separated: `node:24-slim`, with tag or digest.',
      ),
    LOG_LEVEL: z.enum(logLevels).default('info').describe('Least severe level that is logged.'),
  })
  .refine((env) => !(env.ANTHROPIC_API_KEY && env.ANTHROPIC_AUTH_TOKEN), {
    error: 'give one of ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN, not both',
    path: ['ANTHROPIC_AUTH_TOKEN'],
  })
  .refine(
    (env) => (env.GITHUB_APP_ID === undefined) === (env.GITHUB_APP_PRIVATE_KEY_FILE === undefined),
    {
      error: 'give both of GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY_FILE, or neither',
      path: ['GITHUB_APP_ID'],
    },
  )
  .refine((env) => !(env.GITHUB_APP_ID && env.GITHUB_TOKEN), {
    error: 'give one of GITHUB_TOKEN and GITHUB_APP_ID, not both',
    path: ['GITHUB_APP_ID'],
  })

type Settings = z.infer<typeof schema>

export type Config = Readonly<{
  host: string
  port: number
  /** Null: the address that it listens on. */
  publicUrl: URL | null
  dataDir: string
  databaseUrl: string | null
  apiKey: string | null
  /** Where the model is, and what the gateway adds to reach it; no headers: not configured. */
  model: {
    baseUrl: URL
    headers: Readonly<Record<string, string>> | null
    name: string | null
    allow: readonly string[]
  }
  /** Those of PRICES_FILE, null without. */
  prices: { own: PriceList | null; unknownModel: UnknownModel }
  /** Null: no limit. */
  keyDayBudgetUsd: number | null
  github: { url: URL; apiUrl: URL; credentials: Credentials['git'] }
  /** Those of CREDENTIALS_FILE that tasks may use. */
  secrets: Credentials['secrets']
  /** Paths on the host of a task's own repository: `/owner/name` or `/owner/*`. */
  gitReadAllow: readonly string[]
  sandbox: Settings['SANDBOX']
  /** Of a session; the rest are the sandbox's defaults. */
  sandboxLimits: { memoryBytes: number; cpus: number; processes: number; diskBytes: number }
  /** What the disk of the data directory has to have left for new work; 0: nothing. */
  diskFloorBytes: number
  sandboxRequireLimits: boolean
  slotUidBase: number | null
  gatewayAllow: readonly AllowedHost[]
  gatewayAllowPrivate: readonly HostPort[]
  callbackAllow: readonly HostPort[]
  callbackSecret: string | null
  repositoryCacheBytes: number
  /** 0: none is taken. */
  checkpointBytesMax: number
  /** On a node. */
  parkedWorkspacesMax: number
  /** Null: for ever. */
  retention: { recordingsDays: number | null; tasksDays: number | null }
  /** 0: no alert. */
  queueWaitAlertMs: number
  bashTimeoutMs: number
  /** Null: no Docker tools. Images as `canonicalImage` spells them. */
  docker: { engine: { socketPath: string } | { url: URL }; baseImages: readonly string[] } | null
  /** Those of TOOLS_FILE, with their secrets. */
  tools: readonly CustomTool[]
  logLevel: Settings['LOG_LEVEL']
  /** Whose npm and pip are asked for their registries: the PATH and HOME of who started us. */
  operator: { path: string; home: string }
}> &
  WorkerConfig

/** Reads the environment once. Throws an Error whose one sentence names each bad setting. */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const given = Object.keys(schema.shape).flatMap((name) => {
    const value = env[name]
    return value === undefined || value === '' ? [] : [[name, value]]
  })
  const parsed = schema.safeParse(Object.fromEntries(given))
  if (!parsed.success) throw new Error(sentenceOf(parsed.error))
  const operator = { path: env['PATH'] ?? '', home: env['HOME'] ?? '/' }
  const { data } = parsed
  const { git: credentials, secrets } = readCredentials(data, env)
  const github = { url: data.GITHUB_URL, apiUrl: data.GITHUB_API_URL, credentials }
  return Object.freeze({ ...configOf(data), github, secrets, tools: toolsOf(data, env), operator })
}

/** One row a setting: name, default and meaning, for `longhaul config` and the reference page. */
export function describeConfig(): { name: string; default: string; meaning: string }[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const fallback = field.safeParse(undefined)
    const value = fallback.success && fallback.data !== undefined ? String(fallback.data) : ''
    return {
      name,
      default: name === 'DATA_DIR' ? './data, as root /var/lib/longhaul' : value,
      meaning: field.description ?? '',
    }
  })
}

/** Throws an Error with a sentence for every mistake in the file. */
function toolsOf(settings: Settings, env: NodeJS.ProcessEnv): CustomTool[] {
  if (settings.TOOLS_FILE === undefined) return []
  const mayBePlain = settings.GATEWAY_ALLOW_PRIVATE
  return readToolsFile({
    path: resolve(settings.TOOLS_FILE),
    env,
    plainAllowed: ({ host, port }) =>
      mayBePlain.some((entry) => entry.host === host && entry.port === port),
  })
}

function configOf(env: Settings): Omit<Config, 'github' | 'operator' | 'secrets' | 'tools'> {
  return {
    host: env.HOST,
    port: env.PORT,
    publicUrl: env.PUBLIC_URL ?? null,
    dataDir: env.DATA_DIR,
    databaseUrl: env.DATABASE_URL ?? null,
    apiKey: env.LONGHAUL_API_KEY ?? null,
    model: {
      baseUrl: env.ANTHROPIC_BASE_URL,
      headers: modelHeaders(env),
      name: env.MODEL ?? null,
      allow: env.MODELS_ALLOW,
    },
    prices: {
      own: env.PRICES_FILE === undefined ? null : readPrices(env.PRICES_FILE),
      unknownModel: env.UNKNOWN_MODEL,
    },
    keyDayBudgetUsd: env.KEY_DAY_BUDGET_USD ?? null,
    gitReadAllow: env.GIT_READ_ALLOW,
    sandbox: env.SANDBOX,
    sandboxLimits: {
      memoryBytes: env.SANDBOX_MEMORY_MIB * 1024 ** 2,
      cpus: env.SANDBOX_CPUS,
      processes: env.SANDBOX_PROCESSES,
      diskBytes: env.SANDBOX_DISK_MIB * 1024 ** 2,
    },
    diskFloorBytes: env.DISK_FLOOR_MIB * 1024 ** 2,
    sandboxRequireLimits: env.SANDBOX_REQUIRE_LIMITS,
    slotUidBase: env.SLOT_UID_BASE ?? null,
    gatewayAllow: env.GATEWAY_ALLOW,
    gatewayAllowPrivate: env.GATEWAY_ALLOW_PRIVATE,
    callbackAllow: env.CALLBACK_ALLOW,
    callbackSecret: env.CALLBACK_SECRET ?? null,
    checkpointBytesMax: env.CHECKPOINT_MAX_MIB * 1024 ** 2,
    parkedWorkspacesMax: env.PARKED_WORKSPACES_MAX,
    repositoryCacheBytes: env.REPOSITORY_CACHE_GIB * 1024 ** 3,
    retention: {
      recordingsDays: env.RETENTION_RECORDINGS_DAYS ?? null,
      tasksDays: env.RETENTION_TASKS_DAYS ?? null,
    },
    queueWaitAlertMs: env.QUEUE_WAIT_ALERT_MINUTES * 60_000,
    ...workerConfigOf(env),
    bashTimeoutMs: env.BASH_TIMEOUT_SECONDS * 1000,
    docker:
      env.DOCKER_ENGINE === undefined
        ? null
        : { engine: env.DOCKER_ENGINE, baseImages: env.DOCKER_BASE_IMAGES },
    logLevel: env.LOG_LEVEL,
  }
}

function modelHeaders(env: Settings): Record<string, string> | null {
  if (env.ANTHROPIC_API_KEY) return { 'x-api-key': env.ANTHROPIC_API_KEY }
  if (env.ANTHROPIC_AUTH_TOKEN) return { authorization: `Bearer ${env.ANTHROPIC_AUTH_TOKEN}` }
  return null
}

/** Values are not repeated: a bad one may be a secret that was put in the wrong place. */
function sentenceOf(error: z.ZodError): string {
  return error.issues
    .map((issue) => `The setting ${issue.path.join('.')} is not valid: ${issue.message}.`)
    .join(' ')
}
