import { sql } from 'kysely'
import { LeaseLost } from './lease-lost.ts'
import { scrubberOf } from './scrubbing-dialect.ts'
import type { Db, DiffRow } from './tables.ts'

/** What a task has changed between two commits. */
export interface NewDiff {
  readonly baseCommit: string
  readonly commit: string
  /** As git prints it. */
  readonly patch: Buffer
  /** The same in the form of the API, as JSON text: bytes, for `jsonb` takes no NUL. */
  readonly body: Buffer
}

/**
 * Stores a session's difference without the secrets in it, in place of the one before. Throws
 * LeaseLost as `insertEvents` does.
 */
export async function putDiff(
  db: Db,
  o: { readonly sessionId: string; readonly attempt: number; readonly now: Date } & NewDiff,
): Promise<void> {
  const scrubber = scrubberOf(db)
  const patch = (await scrubber?.bytesInTurns(o.patch)) ?? o.patch
  const given: unknown = JSON.parse(o.body.toString())
  const scrubbed = (await scrubber?.valueInTurns(given)) ?? given
  const body = scrubbed === given ? o.body : Buffer.from(JSON.stringify(scrubbed))
  const { rows } = await sql`
    insert into diffs (session_id, attempt, base_commit, commit, patch, body, created_at)
    select id, attempt, ${o.baseCommit}, ${o.commit}, ${patch}::bytea, ${body}::bytea,
      ${o.now}::timestamptz
    from sessions where id = ${o.sessionId} and attempt = ${o.attempt} for share
    on conflict (session_id) do update set attempt = excluded.attempt,
      base_commit = excluded.base_commit, commit = excluded.commit, patch = excluded.patch,
      body = excluded.body, created_at = excluded.created_at
    returning session_id`.execute(db)
  if (rows.length === 0) throw new LeaseLost(o.sessionId, o.attempt)
}

/** Between which commits a session's difference is; undefined: there is none. */
export function getDiffCommits(
  db: Db,
  sessionId: string,
): Promise<Pick<DiffRow, 'base_commit' | 'commit'> | undefined> {
  return db
    .selectFrom('diffs')
    .select(['base_commit', 'commit'])
    .where('session_id', '=', sessionId)
    .executeTakeFirst()
}

/** One form of a session's difference, with its commits. */
export function getDiff(
  db: Db,
  o: { readonly sessionId: string; readonly form: 'patch' | 'body' },
): Promise<(Pick<DiffRow, 'base_commit' | 'commit'> & { content: Buffer }) | undefined> {
  return db
    .selectFrom('diffs')
    .select(['base_commit', 'commit', `${o.form} as content`])
    .where('session_id', '=', o.sessionId)
    .executeTakeFirst()
}
