import { resolve } from 'node:path'
import type { z } from 'zod'
import {
  type AllowedHost,
  type HostPort,
  type WorkerConfig,
  workerConfigOf,
} from './config-fields.ts'
import { type Settings, settings } from './config-settings.ts'
import { type Credentials, readCredentials } from './credentials-file/load.ts'
import type { PriceList } from './prices/list.ts'
import { readPrices } from './prices/load.ts'
import type { UnknownModel } from './prices/price-table.ts'
import type { CustomTool } from './tools-file/custom-tool.ts'
import { readToolsFile } from './tools-file/load.ts'

export { type AllowedHost, type HostPort, isPreset, type Preset } from './config-fields.ts'

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
  /** The newest first; none: the minted one. */
  callbackSecrets: readonly string[]
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
  const given = Object.keys(settings.shape).flatMap((name) => {
    const value = env[name]
    return value === undefined || value === '' ? [] : [[name, value]]
  })
  const parsed = settings.safeParse(Object.fromEntries(given))
  if (!parsed.success) throw new Error(sentenceOf(parsed.error))
  const operator = { path: env['PATH'] ?? '', home: env['HOME'] ?? '/' }
  const { data } = parsed
  const { git: credentials, secrets } = readCredentials(data, env)
  const github = { url: data.GITHUB_URL, apiUrl: data.GITHUB_API_URL, credentials }
  return Object.freeze({ ...configOf(data), github, secrets, tools: toolsOf(data, env), operator })
}

/** One row a setting: name, default and meaning, for `longhaul config` and the reference page. */
export function describeConfig(): { name: string; default: string; meaning: string }[] {
  return Object.entries(settings.shape).map(([name, field]) => {
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
function toolsOf(given: Settings, env: NodeJS.ProcessEnv): CustomTool[] {
  if (given.TOOLS_FILE === undefined) return []
  const mayBePlain = given.GATEWAY_ALLOW_PRIVATE
  return readToolsFile({
    path: resolve(given.TOOLS_FILE),
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
    callbackSecrets: env.CALLBACK_SECRET,
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
