import { type TaskFilter, totalMax } from '@longhaul/client/contract'
import { type RawBuilder, sql } from 'kysely'
import { all, isOneOf, isWithin } from './conditions.ts'
import type { Db, TaskRow } from './tables.ts'
import { toJson } from './values.ts'

/** A filter whose words were looked up; see `searchOf`. */
export interface TaskSearch extends Omit<TaskFilter, 'text'> {
  /** As `tsquery` has it. */
  readonly query?: string | undefined
}

/**
 * Newest first, from the one that follows `after` on; that one need not be there any more. Which ones
 * they are is found out without reading whole rows, where the filter is of columns of an index.
 */
export function listTasks(
  db: Db,
  o: {
    filter?: TaskSearch
    limit: number
    after?: { createdAt: Date; id: string } | undefined
  },
): Promise<TaskRow[]> {
  let wanted = db.selectFrom('tasks').select('id').where(fits(o.filter))
  if (o.after !== undefined) {
    const { createdAt, id } = o.after
    wanted = wanted.where(sql<boolean>`(created_at, id) < (${createdAt}::timestamptz, ${id})`)
  }
  wanted = wanted.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(o.limit)
  return db
    .selectFrom('tasks')
    .selectAll()
    .where('id', 'in', wanted)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
}

/** How many fit, up to `totalMax`. */
export async function countTasks(db: Db, filter: TaskSearch): Promise<number> {
  const { n } = await db
    .selectFrom(
      db.selectFrom('tasks').select('id').where(fits(filter)).limit(totalMax).as('counted'),
    )
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow()
  return n
}

/**
 * The filter with the words of its text, cut out as `task_search` does it, so that nothing in it is read
 * as an operator: a lexeme of letters and digits, quoted, is only ever a word. They are looked up before
 * the search because the planner has to see them: of a word that half of all tasks have, the newest are
 * found by looking through the newest, and of a rare one by the index.
 */
export async function searchOf(db: Db, { text, ...filter }: TaskFilter): Promise<TaskSearch> {
  if (text === undefined) return filter
  const { rows } = await sql<{ query: string }>`
    select string_agg('''' || left(word, 64) || ''':*', ' & ')::tsquery::text as query
    from regexp_split_to_table(lower(${text} collate "und-x-icu"), '[^[:alnum:]]+') as word
    where word <> ''`.execute(db)
  return { ...filter, query: rows[0]?.query ?? '' }
}

/** The condition on a row of `tasks`. */
function fits(filter: TaskSearch | undefined): RawBuilder<boolean> {
  if (filter === undefined) return sql<boolean>`true`
  const conditions = [
    ...isOneOf(sql`status`, filter.statuses),
    ...isOneOf(sql`type`, filter.types),
    ...isOneOf(sql`priority`, filter.priorities),
    ...isOneOf(sql`reason`, filter.reasons),
    ...(filter.repositories ? [isOn(filter.repositories)] : []),
    ...(filter.labels ? [sql`"order" -> 'labels' @> ${toJson(filter.labels)}::jsonb`] : []),
    ...(filter.query === undefined ? [] : [sql`words @@ ${filter.query}::tsquery`]),
    ...isWithin(sql`created_at`, filter.created),
    ...isWithin(sql`started_at`, filter.started),
    ...isWithin(sql`completed_at`, filter.completed),
    ...hasCost(isWithin(sql`cost_usd`, filter.costUsd)),
  ]
  return all(conditions)
}

/** On one of the repositories; a repository is the same in any case of letters, as its settings are. */
function isOn(urls: readonly string[]): RawBuilder<unknown> {
  const known = urls.map((url) => sql`lower(${url}::text)`)
  return sql`lower("order" ->> 'repoUrl') in (${sql.join(known)})`
}

function hasCost(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown>[] {
  return conditions.length === 0
    ? []
    : [sql`session_id in (select id from sessions where ${all(conditions)})`]
}
