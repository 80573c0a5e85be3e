import type { RepositorySettings } from '@longhaul/client/contract'
import { type Expression, type SqlBool, sql } from 'kysely'
import type { Db, RepositoryRow } from './tables.ts'
import { toJson } from './values.ts'

export interface NewRepositoryRow {
  readonly id: string
  /** Normal form of `parseRepoUrl`. */
  readonly url: string
  readonly settings: RepositorySettings
  readonly createdBy: string | null
  readonly now: Date
}

/** Stores a repository; undefined when there is one of this URL already. */
export function insertRepository(db: Db, o: NewRepositoryRow): Promise<RepositoryRow | undefined> {
  return db
    .insertInto('repositories')
    .values({
      id: o.id,
      url: o.url,
      settings: toJson(o.settings),
      created_by: o.createdBy,
      created_at: o.now,
      updated_at: o.now,
    })
    .onConflict((conflict) => conflict.expression(sql`lower(url)`).doNothing())
    .returningAll()
    .executeTakeFirst()
}

export function getRepository(db: Db, id: string): Promise<RepositoryRow | undefined> {
  return db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirst()
}

/** By a URL in normal form. */
export function findRepository(db: Db, url: string): Promise<RepositoryRow | undefined> {
  return db.selectFrom('repositories').selectAll().where(isOf(url)).executeTakeFirst()
}

/** The repository, which nobody else changes until the caller's transaction ends. */
export function lockRepository(db: Db, id: string): Promise<RepositoryRow | undefined> {
  return db
    .selectFrom('repositories')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
}

/** Throws when there is no such repository. */
export function updateRepository(
  db: Db,
  o: { readonly id: string; readonly settings: RepositorySettings; readonly now: Date },
): Promise<RepositoryRow> {
  return db
    .updateTable('repositories')
    .set({ settings: toJson(o.settings), updated_at: o.now })
    .where('id', '=', o.id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Whether there was one. */
export async function deleteRepository(db: Db, id: string): Promise<boolean> {
  const gone = await db
    .deleteFrom('repositories')
    .where('id', '=', id)
    .returning('id')
    .executeTakeFirst()
  return gone !== undefined
}

/** Newest first, since ids sort by time; `before` is the id of the last one of the page before. */
export function listRepositories(
  db: Db,
  o: { url?: string; limit: number; before?: string },
): Promise<RepositoryRow[]> {
  let query = db.selectFrom('repositories').selectAll()
  if (o.url !== undefined) query = query.where(isOf(o.url))
  if (o.before !== undefined) query = query.where('id', '<', o.before)
  return query.orderBy('id', 'desc').limit(o.limit).execute()
}

function isOf(url: string): Expression<SqlBool> {
  return sql<SqlBool>`lower(url) = lower(${url})`
}
