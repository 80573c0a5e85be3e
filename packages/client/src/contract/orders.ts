import { z } from 'zod'
import { type AgentReference, agentReference } from './agent-reference.ts'
import { deadlineMinutes, deadlineMinutesDefault } from './approvals.ts'
import { budgetUsd, check, jsonProblem, text } from './common.ts'
import {
  type EnvironmentReference,
  environmentReference,
  type SandboxOverrides,
  sandboxOverrides,
} from './environments.ts'
import type { PullRequestOptions } from './pull-requests.ts'
import { parseRepoUrl, type RepoUrl, repoUrlField } from './repo-url.ts'

export const taskType = z.enum(['refactor', 'analysis', 'test', 'deploy', 'custom'])
export type TaskType = z.infer<typeof taskType>

export const priority = z.enum(['low', 'medium', 'high'])
export type Priority = z.infer<typeof priority>

/**
 * A validated order, as it was given: both `/api/workflows` and `/v1/tasks` become this. An absent
 * field was not given; an empty list was given on purpose.
 */
export interface GivenOrder {
  readonly type: TaskType
  /** Normal form of `parseRepoUrl`. */
  readonly repoUrl: string
  readonly instructions: string
  readonly priority: Priority
  /** Absent: the newest version of the agent of the type. */
  readonly agent?: AgentReference
  /** Absent: that of the repository, or the default. */
  readonly environment?: EnvironmentReference
  /** What the order changes of its environment. */
  readonly sandbox?: SandboxOverrides
  /** Branch to start from; absent: the repository's default branch. */
  readonly baseBranch?: string
  /** Commands that prepare the clone; absent: detected from the lock file. */
  readonly setup?: readonly string[]
  /** Commands that decide whether the task is done; absent: detected on the base commit. */
  readonly checks?: readonly string[]
  /** Of a deploy: exactly the commands that may run. */
  readonly commands?: readonly string[]
  /** Directory in the repository, relative to its root, where commands run. */
  readonly workdir?: string
  /** Absent: the repository's, or `timeLimitMinutesDefault`. */
  readonly timeLimitMinutes?: number
  readonly maxBudgetUsd?: number
  /** How long somebody may raise a spent budget; absent: `deadlineMinutesDefault`. */
  readonly budgetDeadlineMinutes?: number
  /** What the budget is from that deadline on if nobody answered; absent: it is declined. */
  readonly budgetRaiseToUsd?: number
  /** How the pull request is opened. */
  readonly pullRequest?: PullRequestOptions
  readonly callbackUrl?: string
  /** The caller's own JSON, echoed in the callback. */
  readonly context?: unknown
  /** The caller's own object, kept with the task and never read. */
  readonly payload?: Readonly<Record<string, unknown>>
  /** Words that the task is found by, each once. */
  readonly labels?: readonly string[]
  /** Not to be started before: milliseconds since the epoch. Absent or past: at once. */
  readonly startAt?: number
}

/** Who makes a task's commits. */
export interface CommitIdentity {
  readonly name: string
  readonly email: string
}

/**
 * The order as the server works with it and stores it: what it left open is filled from the settings
 * of its repository when the task is made, and no later change of them changes it.
 */
export interface TaskOrder extends GivenOrder {
  readonly timeLimitMinutes: number
  /** The version that works, whatever becomes of the agent; absent in tasks older than versions. */
  readonly agent?: Required<AgentReference>
  /** The version that it runs in; absent in tasks older than environments. */
  readonly environment?: Required<EnvironmentReference>
  /** Whether the order itself named it. */
  readonly environmentGiven?: boolean
  readonly commit?: CommitIdentity
  /** Whether `.github/workflows` may be other than in the base commit. */
  readonly allowWorkflowChanges?: boolean
  /** Names of the fields that the repository's settings filled. */
  readonly fromRepository?: readonly string[]
}

/** Characters of an order’s instructions, and of a message to its agent, at most. */
export const instructionsCharsMax = 100_000
const commandsMax = 20
const commandCharsMax = 4_000
const contextBytesMax = 4 * 1024
const payloadBytesMax = 64 * 1024
const urlCharsMax = 2_048
const workdirCharsMax = 1_024
const branchCharsMax = 255
const labelsMax = 20
/** Milliseconds mistaken for seconds, and seconds for milliseconds, end up far outside of this. */
const startAtMin = Date.UTC(2020)
/** 23 hours: a queue lease lives for 24, and the end of a task needs some of it. */
const timeLimitMinutesMax = 1_380
/** Of an order that names none, in a repository that names none. */
export const timeLimitMinutesDefault = 60

/**
 * What one server takes of the addresses in an order, asked once they are well-formed: a sentence
 * `expected …` about what it does not take, or null. Its findings are told with all others.
 */
export interface OrderPolicy {
  readonly repoUrl: (repository: RepoUrl) => string | null
  readonly callbackUrl: (receiver: URL) => string | null
  /** Milliseconds since the epoch. What was taken once is taken later, too. */
  readonly startAt: (time: number) => string | null
}

/** A word that tasks are found by: `team:payments`, `nightly`. */
export const label = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._:/-]{0,62}$/,
    'expected 1 to 63 of a-z, 0-9 and . _ : / - with a letter or digit first',
  )

/** The fields of an order, by their names inside the server; both wire forms are made of them. */
export function orderFields(policy: OrderPolicy) {
  return {
    repoUrl: repoUrlField(policy.repoUrl),
    instructions: text(instructionsCharsMax).describe('What to do, for the agent.'),
    agent: agentReference,
    environment: environmentReference,
    sandbox: sandboxOverrides,
    priority: priority.default('medium').describe('Higher ones are started first.'),
    baseBranch: z
      .string()
      .max(branchCharsMax)
      .superRefine(check(branchProblem))
      .describe('Branch to start from; the repository’s default branch if absent.'),
    setup: commands('Commands that prepare the clone; detected from the lock file if absent.'),
    checks: commands('Commands that decide whether it is done; detected if absent.'),
    commands: commands('Of a deploy: exactly the commands that may run.'),
    workdir: z
      .string()
      .max(workdirCharsMax)
      .superRefine(check(workdirProblem))
      .describe('Directory in the repository where commands run.'),
    timeLimitMinutes: z
      .int()
      .min(1)
      .max(timeLimitMinutesMax)
      .describe(
        `Minutes of wall-clock time the task may take; the repository’s, or ${timeLimitMinutesDefault}, if absent.`,
      ),
    maxBudgetUsd: budgetUsd.describe('US dollars of model use at most; no limit if absent.'),
    budgetDeadlineMinutes: deadlineMinutes.describe(
      `Minutes that somebody has to raise the budget once it is spent; the repository’s, or ${deadlineMinutesDefault}, if absent.`,
    ),
    budgetRaiseToUsd: budgetUsd.describe(
      'What the budget becomes, once, when nobody has answered by that deadline; if absent, or not more than is spent, the task ends as budget_declined.',
    ),
    callbackUrl: z
      .string()
      .max(urlCharsMax)
      .superRefine(
        check((value) => {
          const parsed = readCallback(value)
          return typeof parsed === 'string' ? parsed : policy.callbackUrl(parsed)
        }),
      )
      .describe('Receiver of one signed POST when the task ends; https, or allowed by the server.'),
    context: z
      .unknown()
      .superRefine(check((value) => jsonProblem(value, contextBytesMax)))
      .describe('Any JSON of at most 4 KiB, echoed in the callback.'),
    payload: z
      .record(z.string(), z.unknown())
      .superRefine(check((value) => jsonProblem(value, payloadBytesMax)))
      .describe('Any JSON object of at most 64 KiB, kept with the task.'),
    labels: z
      .array(label)
      .max(labelsMax)
      .describe('Words that the task is found by; one that is given twice counts once.'),
    startAt: z
      .int()
      .superRefine(check((time) => startProblem(time, policy)))
      .meta({ description: startAtMeaning, format: 'int64' }),
    startAtTime: z.iso
      .datetime({ offset: true, error: 'expected an RFC 3339 time such as 2026-11-24T10:00:00Z' })
      .superRefine(check((time) => startProblem(Date.parse(time), policy)))
      .describe(startAtMeaning),
  } as const
}

/** A rule between fields: only a deploy has commands. Told whatever else is wrong with the order. */
export const commandsAreOfDeploys = z.superRefine<{
  readonly type: TaskType
  readonly commands?: readonly string[] | undefined
}>(
  ({ type, commands: given }, context) => {
    if (type === 'deploy' || !taskType.options.includes(type)) return
    if (!Array.isArray(given) || given.length === 0) return
    const message = `expected none, since only a task of type deploy runs them`
    context.addIssue({ code: 'custom', path: ['commands'], message })
  },
  { when: ({ value }) => typeof value === 'object' && value !== null },
)

/** A rule between fields, by their names in a wire form: a budget is raised to more than it was. */
export function raiseIsAbove<Budget extends string, Raise extends string>(
  budget: Budget,
  raise: Raise,
) {
  return z.superRefine<{ readonly [Field in Budget | Raise]?: number | null | undefined }>(
    (given, context) => {
      const [limitUsd, raiseToUsd] = [given[budget], given[raise]]
      if (typeof limitUsd !== 'number' || typeof raiseToUsd !== 'number') return
      if (raiseToUsd > limitUsd) return
      const message = `expected more than ${budget}, which is ${limitUsd}`
      context.addIssue({ code: 'custom', path: [raise], message })
    },
    { when: ({ value }) => typeof value === 'object' && value !== null },
  )
}

/** An order as parsed from either wire form: absent fields may be undefined. */
type ParsedOrder = { readonly [Field in keyof GivenOrder]: GivenOrder[Field] | undefined } & Pick<
  GivenOrder,
  'type' | 'repoUrl' | 'instructions' | 'priority'
>

/** Makes the order: the repository in its normal form, each label once, absent fields left out. */
export function toOrder(given: ParsedOrder): GivenOrder {
  const { type, instructions, priority, repoUrl, labels, ...open } = given
  const present = Object.entries(open).filter(([, value]) => value !== undefined)
  return {
    ...{ type, instructions, priority },
    repoUrl: parseRepoUrl(repoUrl).url,
    ...(labels && { labels: [...new Set(labels)] }),
    ...Object.fromEntries(present),
  }
}

const startAtMeaning =
  'When to start it, at most 30 days ahead; until then it is delayed. A past time: at once.'

function startProblem(time: number, policy: OrderPolicy): string | null {
  return time < startAtMin
    ? 'expected a time after 2020 (a number: milliseconds since 1970)'
    : policy.startAt(time)
}

function commands(description: string) {
  return z.array(text(commandCharsMax)).max(commandsMax).describe(description)
}

/** The rules of git check-ref-format, for a branch name as people write it. */
function branchProblem(name: string): string | null {
  const expected = 'expected the name of a branch, such as main'
  if (name === '' || name === '@' || name === 'HEAD' || name.startsWith('refs/')) return expected
  // biome-ignore lint/suspicious/noControlCharactersInRegex: git refuses exactly these.
  if (/[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|^-|\/\/|[/.]$|^\//.test(name)) return expected
  const parts = name.split('/')
  const bad = parts.some((part) => part.startsWith('.') || part.endsWith('.lock'))
  return bad || !name.isWellFormed() ? expected : null
}

function workdirProblem(path: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no path of a repository needs them.
  const parts = /[\x00-\x1f\x7f\\]/.test(path) ? [] : path.split('/')
  const bad = (part: string): boolean => part === '' || part === '..' || part === '.git'
  return parts.length === 0 || parts.some(bad) || !path.isWellFormed()
    ? 'expected a relative path inside the repository, such as packages/api, without ..'
    : null
}

/** The receiver, or a sentence `expected …`. */
function readCallback(value: string): URL | string {
  const expected = 'expected an https URL without credentials and fragment'
  const url = URL.canParse(value) && /^[\x21-\x7e]+$/.test(value) ? new URL(value) : null
  if (url === null || !/^https?:\/\/[^/]/i.test(value)) return expected
  return url.username !== '' || url.password !== '' || url.hash !== '' ? expected : url
}
