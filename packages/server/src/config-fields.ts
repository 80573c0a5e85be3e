import { z } from 'zod'
import { canonicalImage } from './image-name.ts'

/** A host and a port, as the allow-lists hold them. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** A name for hosts that whoever writes a list need not know. */
export type Preset = 'package_registries'
export type AllowedHost = HostPort | Preset

export function isPreset(entry: AllowedHost | string): entry is Preset {
  return entry === 'package_registries'
}

/** A whole number. */
export function count(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,10}$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().min(min).max(max))
}

/** US dollars, above nothing. */
export function dollars() {
  return z
    .string()
    .regex(/^\d{1,6}(\.\d{1,4})?$/, 'expected US dollars, such as 50 or 12.5')
    .transform(Number)
    .pipe(z.number().gt(0))
}

export function secret() {
  return z
    .string()
    .max(4096)
    .regex(/^[\x21-\x7e]+$/, 'expected printable characters without spaces')
    .optional()
}

export function httpUrl() {
  return z
    .url({ protocol: /^https?$/ })
    .transform((text) => new URL(text))
    .refine((url) => url.username === '' && url.password === '', 'no credentials in the URL')
}

export function repositories() {
  return listOf((part, refuse) => {
    if (!/^[\w.-]+(\/[\w.-]+)*\/([\w.-]+|\*)$/.test(part) || /(^|\/)\.+(\/|$)/.test(part))
      refuse(`expected owner/name or owner/*, got ${JSON.stringify(part)}`)
    return `/${part.replace(/\.git$/, '')}`
  })
}

export function dockerEngine() {
  return z.string().transform((text, context) => {
    const [, socketPath] = /^unix:\/\/(\/.{1,106})$/.exec(text) ?? []
    if (socketPath !== undefined) return { socketPath }
    const url = URL.parse(text)
    if (url?.protocol === 'http:' && url.pathname === '/' && url.username === '') return { url }
    context.addIssue('expected unix:///path or http://host:port')
    return z.NEVER
  })
}

export function images() {
  return listOf((part, refuse) => {
    const image = canonicalImage(part)
    if (image === null) refuse(`expected an image, got ${JSON.stringify(part)}`)
    return image ?? ''
  })
}

export function modelNames() {
  return listOf((part, refuse) => {
    if (part !== '*' && !/^[\w.:/@-]{1,128}$/.test(part))
      refuse(`expected the name of a model or *, got ${JSON.stringify(part)}`)
    return part
  })
}

const wordsMax = 20

function words() {
  return listOf((part, refuse) => {
    if (!/^[\w.:/=-]{1,63}$/.test(part))
      refuse(`expected up to 63 letters, digits or .:_/=-, got ${JSON.stringify(part)}`)
    return part
  }).refine((list) => list.length <= wordsMax, `expected at most ${wordsMax}`)
}

export function hostPorts() {
  return listOf(hostPortOf)
}

export function allowedHosts() {
  return listOf((part, refuse): AllowedHost => (isPreset(part) ? part : hostPortOf(part, refuse)))
}

function hostPortOf(part: string, refuse: (sentence: string) => void): HostPort {
  const [, host = '', port = '443'] =
    /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/i.exec(part) ?? []
  if (host === '' || Number(port) < 1 || Number(port) > 65_535)
    refuse(`expected host or host:port, got ${JSON.stringify(part)}`)
  return { host: host.toLowerCase().replace(/^\[|\]$/g, ''), port: Number(port) }
}

const signingSecretsMax = 2

/** Never told what came: it may be a secret with a slip in it. */
export function signingSecrets() {
  return listOf((part, refuse) => {
    const isSecret = /^whsec_[A-Za-z0-9+/=]{32,128}$/.test(part)
    if (!isSecret) refuse('expected `whsec_` and base64')
    return part
  }).refine((all) => all.length <= signingSecretsMax, `expected at most ${signingSecretsMax}`)
}

/** A comma-separated list; `refuse` says what is wrong with a part. */
function listOf<T>(parse: (part: string, refuse: (sentence: string) => void) => T) {
  return z.string().transform((text, context): T[] =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => parse(part, (sentence) => context.addIssue(sentence))),
  )
}

/** What is kept of the workspaces of tasks that have not ended. */
export const workspaceFields = {
  CHECKPOINT_MAX_MIB: count(0, 1024)
    .default(64)
    .describe(
      'MiB that a checkpoint of a workspace may have, kept in the database while its task runs; 0: none is taken. See checkpoints.md.',
    ),
  PARKED_WORKSPACES_MAX: count(0, 900)
    .default(400)
    .describe(
      'Workspaces of parked tasks that stay on a node’s disk; beyond it the longest parked goes, and is made anew from its checkpoint when its task goes on. See approvals.md.',
    ),
}

/** How a process works on tasks, and how many at once. */
export const workerFields = {
  WORKER: z
    .stringbool()
    .default(true)
    .describe(
      'Whether `longhaul serve` works on tasks, too; false: workers of their own do (`longhaul work`), which takes a DATABASE_URL. See nodes.md.',
    ),
  WORKER_LABELS: words()
    .default([])
    .describe(
      'What `GET /v1/workers` says of this worker, comma-separated: `gpu, zone:a`; at most 20 of 63 letters, digits or .:_/=-',
    ),
  TASK_CONCURRENCY: count(1, 64).default(2).describe('Tasks that this node runs at once.'),
  TASK_CONCURRENCY_TOTAL: count(1, 100_000)
    .optional()
    .describe('Tasks that all nodes together run at once; without it what each of them may.'),
  TASK_CONCURRENCY_PER_KEY: count(1, 100_000)
    .optional()
    .describe(
      'Tasks of one API key that run at once, on all nodes together; a key may have a `concurrency` of its own.',
    ),
  TASK_CONCURRENCY_PER_REPOSITORY: count(1, 100_000)
    .optional()
    .describe(
      'Tasks on one repository that run at once, on all nodes together; its settings may have a `concurrency` of their own.',
    ),
  QUOTA_WAIT_MAX_HOURS: count(1, 8784)
    .default(840)
    .describe(
      'Hours that a task waits in all for its provider’s quota; beyond it the task fails. The default is 35 days: a monthly limit may be gone for a month. See budgets.md.',
    ),
  MEMORY_FLOOR_MIB: count(0, 16_777_216)
    .default(256)
    .describe(
      'MiB of memory that have to be free for a task to be begun on this node; below it tasks wait in the queue, or go elsewhere. 0: no floor.',
    ),
} as const

/** How this process works, and on how much. */
export type WorkerConfig = Readonly<{
  worker: boolean
  workerLabels: readonly string[]
  taskConcurrency: number
  /** On all nodes together; null: no limit. */
  limits: { limit: number | null; perKey: number | null; perRepository: number | null }
  /** All waits of one task together. */
  quotaWaitMsMax: number
  memoryFloorBytes: number
}>

const workerSettings = z.object(workerFields)

export function workerConfigOf(env: z.infer<typeof workerSettings>): WorkerConfig {
  return {
    worker: env.WORKER,
    workerLabels: env.WORKER_LABELS,
    taskConcurrency: env.TASK_CONCURRENCY,
    limits: {
      limit: env.TASK_CONCURRENCY_TOTAL ?? null,
      perKey: env.TASK_CONCURRENCY_PER_KEY ?? null,
      perRepository: env.TASK_CONCURRENCY_PER_REPOSITORY ?? null,
    },
    quotaWaitMsMax: env.QUOTA_WAIT_MAX_HOURS * 3_600_000,
    memoryFloorBytes: env.MEMORY_FLOOR_MIB * 1024 ** 2,
  }
}
