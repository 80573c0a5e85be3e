import type { TaskFilter } from '@longhaul/client/contract'
import { type RawBuilder, sql } from 'kysely'
import { all, isOneOf, isWithin } from './conditions.ts'
import type { Db, TaskRow } from './tables.ts'
import { toJson } from './values.ts'

/** Newest first, from the one that follows `after` on; that one need not be there any more. */
export function listTasks(
  db: Db,
  o: {
    filter?: TaskFilter
    limit: number
    after?: { createdAt: Date; id: string } | undefined
  },
): Promise<TaskRow[]> {
  let query = db.selectFrom('tasks').selectAll().where(fits(o.filter))
  if (o.after !== undefined) {
    const { createdAt, id } = o.after
    query = query.where(sql<boolean>`(created_at, id) < (${createdAt}::timestamptz, ${id})`)
  }
  return query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(o.limit).execute()
}

export async function countTasks(db: Db, filter: TaskFilter): Promise<number> {
  const { n } = await db
    .selectFrom('tasks')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .where(fits(filter))
    .executeTakeFirstOrThrow()
  return n
}

/** The condition on a row of `tasks`. */
function fits(filter: TaskFilter | undefined): RawBuilder<boolean> {
  if (filter === undefined) return sql<boolean>`true`
  const conditions = [
    ...isOneOf(sql`status`, filter.statuses),
    ...isOneOf(sql`type`, filter.types),
    ...isOneOf(sql`priority`, filter.priorities),
    ...isOneOf(sql`reason`, filter.reasons),
    ...(filter.repositories ? [isOn(filter.repositories)] : []),
    ...(filter.labels ? [sql`"order" -> 'labels' @> ${toJson(filter.labels)}::jsonb`] : []),
    ...(filter.text === undefined ? [] : [hasWords(filter.text)]),
    ...isWithin(sql`created_at`, filter.created),
    ...isWithin(sql`started_at`, filter.started),
    ...isWithin(sql`completed_at`, filter.completed),
    ...hasCost(isWithin(sql`cost_usd`, filter.costUsd)),
  ]
  return all(conditions)
}

/** On one of the repositories; a repository is the same in any case of letters, as its settings are. */
function isOn(urls: readonly string[]): RawBuilder<unknown> {
  return sql`lower("order" ->> 'repoUrl') = any(
    array(select lower(url) from unnest(${[...urls]}::text[]) as url))`
}

function hasCost(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown>[] {
  return conditions.length === 0
    ? []
    : [sql`session_id in (select id from sessions where ${all(conditions)})`]
}

/**
 * The words are cut out of the text as `task_search` does it, so that nothing in it is read as an
 * operator: a lexeme of letters and digits, quoted, is only ever a word.
 */
function hasWords(text: string): RawBuilder<unknown> {
  return sql`task_search("order", result) @@ (
    select string_agg('''' || left(word, 64) || ''':*', ' & ')::tsquery
    from regexp_split_to_table(lower(${text} collate "und-x-icu"), '[^[:alnum:]]+') as word
    where word <> '')`
}
