import { z } from 'zod'
import { countParam, isFineSoFar, listParam, pageMax, text } from './common.ts'
import { label, type Priority, priority, type TaskType, taskType } from './orders.ts'
import { type Reason, reason, type TaskStatus, taskStatus } from './reasons.ts'
import { parseRepoUrl, repoUrlField } from './repo-url.ts'

const operators = ['gt', 'gte', 'lt', 'lte'] as const
type Operator = (typeof operators)[number]

/** What a value has to be above or below; an absent side is open. */
export type Range<T> = Readonly<Partial<Record<Operator, T>>>

/** Which tasks are wanted. A list takes any of its entries; what is absent does not matter. */
export interface TaskFilter {
  readonly statuses?: readonly TaskStatus[] | undefined
  readonly types?: readonly TaskType[] | undefined
  readonly priorities?: readonly Priority[] | undefined
  readonly reasons?: readonly Reason[] | undefined
  /** In normal form. */
  readonly repositories?: readonly string[] | undefined
  /** All of these. */
  readonly labels?: readonly string[] | undefined
  /** Words, by their beginnings: all of them in instructions, summary or branch. */
  readonly text?: string | undefined
  readonly created: Range<Date>
  readonly started: Range<Date>
  readonly completed: Range<Date>
  /** US dollars that the session has cost so far. */
  readonly costUsd: Range<number>
}

/** A page of tasks that was asked for. */
export interface TaskQuery {
  readonly filter: TaskFilter
  readonly limit: number | undefined
  /** The last task of the page before. */
  readonly after: { readonly createdAt: Date; readonly id: string } | undefined
}

/** Entries of one filter, at most. */
const entriesMax = 50
const searchCharsMax = 200

/** The parameters that are the same in both forms. */
const common = {
  limit: countParam(1, pageMax).optional(),
  page: z
    .string()
    .regex(/^\d{1,15}-task_[0-9a-hjkmnp-tv-z]{26}$/, 'expected what the page before named')
    .transform(readCursor)
    .optional()
    .describe('Opaque: the next page as the page before named it.'),
  status: listParam(taskStatus, entriesMax),
  type: listParam(taskType, entriesMax),
  priority: listParam(priority, entriesMax),
  reason: listParam(reason, entriesMax),
  label: listParam(label, entriesMax).describe('Only tasks with all of these labels.'),
  q: text(searchCharsMax)
    .refine((words) => /[\p{L}\p{N}]/u.test(words), {
      error: 'expected a word to search for',
      when: isFineSoFar,
    })
    .optional()
    .describe(
      'Words that instructions, summary and branch are searched for: a task is found if it has each of them, or a word that begins with it, whatever the case.',
    ),
} as const

/** The query of `GET /v1/tasks`. */
export const taskQuery = z
  .strictObject({
    ...common,
    repo_url: repositories(),
    ...rangeParams('created_at', rfc3339()),
    ...rangeParams('started_at', rfc3339()),
    ...rangeParams('completed_at', rfc3339()),
    ...rangeParams('cost_usd', dollars()),
  })
  .transform((query) =>
    toQuery(query, {
      repositories: query.repo_url,
      created: rangeOf(query, 'created_at'),
      started: rangeOf(query, 'started_at'),
      completed: rangeOf(query, 'completed_at'),
      costUsd: rangeOf(query, 'cost_usd'),
    }),
  )

/** The query of `GET /api/workflows`: the same in camelCase, times in milliseconds. */
export const workflowQuery = z
  .strictObject({
    ...common,
    repoUrl: repositories(),
    ...rangeParams('createdAt', milliseconds()),
    ...rangeParams('startedAt', milliseconds()),
    ...rangeParams('completedAt', milliseconds()),
    ...rangeParams('costUsd', dollars()),
  })
  .transform((query) =>
    toQuery(query, {
      repositories: query.repoUrl,
      created: rangeOf(query, 'createdAt'),
      started: rangeOf(query, 'startedAt'),
      completed: rangeOf(query, 'completedAt'),
      costUsd: rangeOf(query, 'costUsd'),
    }),
  )

type Common = z.output<z.ZodObject<typeof common>>

function toQuery(
  query: Common,
  named: Pick<TaskFilter, 'repositories' | 'created' | 'started' | 'completed' | 'costUsd'>,
): TaskQuery {
  const { status, type, priority, reason, label, q } = query
  const same = { statuses: status, types: type, priorities: priority, reasons: reason }
  return {
    filter: { ...same, labels: label, text: q, ...named },
    limit: query.limit,
    after: query.page,
  }
}

/** The cursor of the page that begins after a task. It needs no task to be there still. */
export function taskCursor(last: { readonly createdAt: Date; readonly id: string }): string {
  return `${last.createdAt.getTime()}-${last.id}`
}

function readCursor(page: string): { createdAt: Date; id: string } {
  const at = page.indexOf('-')
  return { createdAt: new Date(Number(page.slice(0, at))), id: page.slice(at + 1) }
}

function repositories() {
  const url = repoUrlField(() => null).transform((given) => parseRepoUrl(given).url)
  return listParam(url, entriesMax).describe('Only tasks on one of these repositories.')
}

/** `name[gt]`, `name[gte]`, `name[lt]` and `name[lte]`, as the Managed Agents API names them. */
export function rangeParams<Name extends string, T extends z.ZodType>(name: Name, bound: T) {
  const params = operators.map((operator) => [`${name}[${operator}]`, bound.optional()])
  return Object.fromEntries(params) as Record<`${Name}[${Operator}]`, z.ZodOptional<T>>
}

export function rangeOf<Name extends string, T>(
  query: Readonly<Partial<Record<`${Name}[${Operator}]`, T | undefined>>>,
  name: Name,
): Range<T> {
  const sides = operators.map((operator) => [operator, query[`${name}[${operator}]`]] as const)
  return Object.fromEntries(sides.filter(([, bound]) => bound !== undefined))
}

export function rfc3339() {
  return z.iso
    .datetime({ offset: true, error: 'expected an RFC 3339 time such as 2026-11-24T10:00:00Z' })
    .transform((time) => new Date(time))
}

function milliseconds() {
  return countParam(0, 999_999_999_999_999).transform((time) => new Date(time))
}

function dollars() {
  return z
    .string()
    .regex(/^\d{1,9}(\.\d{1,9})?$/, 'expected US dollars such as 2.50')
    .transform(Number)
}
