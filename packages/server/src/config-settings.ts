import { z } from 'zod'
import {
  allowedHosts,
  count,
  dockerEngine,
  dollars,
  hostPorts,
  httpUrl,
  images,
  modelNames,
  repositories,
  secret,
  signingSecrets,
  workerFields,
  workspaceFields,
} from './config-fields.ts'
import { logLevels } from './log.ts'

/**
 * Every setting the server reads, in one place, as the environment has it: `config.ts` reads it, and
 * makes of it what everything else is handed. No setting is required.
 */
export const settings = z
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
    CALLBACK_SECRET: signingSecrets()
      .default([])
      .describe(
        'Standard Webhooks secret that signs callbacks; minted at first start if absent. While receivers change it, the new and the old one, comma-separated: both sign.',
      ),
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

export type Settings = z.infer<typeof settings>
