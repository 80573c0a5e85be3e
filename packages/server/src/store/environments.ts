import type { EnvironmentContent } from '@longhaul/client/contract'
import type { Db } from './tables.ts'
import { toJson } from './values.ts'

/** A version of an environment, with what is said of the environment as a whole. */
export interface EnvironmentRow {
  readonly id: string
  readonly version: number
  /** Of the seeded one, which tasks have that name none. */
  readonly is_default: boolean
  readonly content: EnvironmentContent
  /** Of this version; null: the program itself. */
  readonly created_by: string | null
  readonly created_at: Date
  /** When this version was made. */
  readonly updated_at: Date
  readonly archived_at: Date | null
}

/** Who makes a version, and when. */
interface Made {
  readonly createdBy: string | null
  readonly now: Date
}

/** An environment with its first version. */
export async function insertEnvironment(
  db: Db,
  o: Made & { readonly id: string; readonly isDefault: boolean; content: EnvironmentContent },
): Promise<EnvironmentRow> {
  await db
    .insertInto('environments')
    .values({ id: o.id, is_default: o.isDefault, version: 1, created_at: o.now })
    .execute()
  return insertVersion(db, { ...o, version: 1 })
}

/** The environment's next version, which is the newest from now on. The environment is locked by the caller. */
export async function insertNextVersion(
  db: Db,
  o: Made & { readonly id: string; readonly content: EnvironmentContent },
): Promise<EnvironmentRow> {
  const { version } = await db
    .updateTable('environments')
    .set((set) => ({ version: set('version', '+', 1) }))
    .where('id', '=', o.id)
    .returning('version')
    .executeTakeFirstOrThrow()
  return insertVersion(db, { ...o, version })
}

/** An environment of a version, or of its newest. */
export function getEnvironment(
  db: Db,
  id: string,
  version?: number,
): Promise<EnvironmentRow | undefined> {
  return select(db)
    .where('environments.id', '=', id)
    .where((where) =>
      version === undefined
        ? where('environment_versions.version', '=', where.ref('environments.version'))
        : where('environment_versions.version', '=', version),
    )
    .executeTakeFirst()
}

/** The one that tasks have that name none, in its newest version. */
export function getDefaultEnvironment(db: Db): Promise<EnvironmentRow | undefined> {
  return newest(db).where('environments.is_default', '=', true).executeTakeFirst()
}

/** The newest version of an environment that nobody else changes until the caller's transaction ends. */
export async function lockEnvironment(db: Db, id: string): Promise<EnvironmentRow | undefined> {
  await db.selectFrom('environments').select('id').where('id', '=', id).forUpdate().execute()
  return getEnvironment(db, id)
}

/** Newest first, since ids sort by time; the seeded one, the oldest id there is, comes last. */
export function listEnvironments(
  db: Db,
  o: { readonly archived: boolean; readonly limit: number; readonly before?: string },
): Promise<EnvironmentRow[]> {
  let query = newest(db)
  if (!o.archived) query = query.where('environments.archived_at', 'is', null)
  if (o.before !== undefined) query = query.where('environments.id', '<', o.before)
  return query.orderBy('environments.id', 'desc').limit(o.limit).execute()
}

/** The versions of an environment, newest first; `before` is the last one of the page before. */
export function listEnvironmentVersions(
  db: Db,
  o: { readonly id: string; readonly limit: number; readonly before?: number },
): Promise<EnvironmentRow[]> {
  let query = select(db).where('environments.id', '=', o.id)
  if (o.before !== undefined) query = query.where('environment_versions.version', '<', o.before)
  return query.orderBy('environment_versions.version', 'desc').limit(o.limit).execute()
}

export async function archiveEnvironmentRow(db: Db, o: { id: string; now: Date }): Promise<void> {
  await db.updateTable('environments').set({ archived_at: o.now }).where('id', '=', o.id).execute()
}

async function insertVersion(
  db: Db,
  o: Made & { readonly id: string; readonly version: number; readonly content: EnvironmentContent },
): Promise<EnvironmentRow> {
  await db
    .insertInto('environment_versions')
    .values({
      environment_id: o.id,
      version: o.version,
      content: toJson(o.content),
      created_by: o.createdBy,
      created_at: o.now,
    })
    .execute()
  return select(db)
    .where('environments.id', '=', o.id)
    .where('environment_versions.version', '=', o.version)
    .executeTakeFirstOrThrow()
}

function newest(db: Db) {
  return select(db).whereRef('environment_versions.version', '=', 'environments.version')
}

function select(db: Db) {
  return db
    .selectFrom('environments')
    .innerJoin('environment_versions', 'environment_versions.environment_id', 'environments.id')
    .select([
      'environments.id',
      'environments.is_default',
      'environments.created_at',
      'environments.archived_at',
      'environment_versions.version',
      'environment_versions.content',
      'environment_versions.created_by',
      'environment_versions.created_at as updated_at',
    ])
}
