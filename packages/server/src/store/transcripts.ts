import { sql } from 'kysely'
import { LeaseLost } from './lease-lost.ts'
import { ScrubbedParameter, scrubberOf } from './scrubbing-dialect.ts'
import type { Db } from './tables.ts'

/** Names one transcript: the conversation's own (`subpath` empty) or one of its subagents'. */
export interface TranscriptKey {
  readonly projectKey: string
  readonly conversationId: string
  readonly subpath: string
}

/**
 * Appends entries in their order. An entry whose `uuid` is there already is skipped, so a repeated
 * batch changes nothing. Throws LeaseLost when another attempt has the session.
 */
export async function appendTranscript(
  db: Db,
  o: {
    sessionId: string
    attempt: number
    key: TranscriptKey
    entries: readonly object[]
  },
): Promise<void> {
  const uuids = o.entries.map((entry) =>
    'uuid' in entry && typeof entry.uuid === 'string' ? entry.uuid : null,
  )
  const entries = (await scrubberOf(db)?.valueInTurns(o.entries)) ?? o.entries
  const texts = entries.map((entry) => new ScrubbedParameter(JSON.stringify(entry)))
  const { rows } = await sql<{ held: boolean }>`
    with fence as (
      select id from sessions where id = ${o.sessionId} and attempt = ${o.attempt} for share
    ), appended as (
      insert into transcript_entries
        (session_id, attempt, project_key, conversation_id, subpath, uuid, entry)
      select fence.id, ${o.attempt}::int, ${o.key.projectKey}, ${o.key.conversationId},
        ${o.key.subpath}, given.uuid, given.entry::json
      from fence, unnest(${uuids}::text[], ${texts}::text[]) with ordinality
        as given (uuid, entry, place)
      order by given.place
      on conflict do nothing
    )
    select exists (select from fence) as held`.execute(db)
  if (rows[0]?.held !== true) throw new LeaseLost(o.sessionId, o.attempt)
}

/** Every entry in order; null when nothing was ever appended. */
export async function loadTranscript(
  db: Db,
  o: { sessionId: string; conversationId: string; subpath: string },
): Promise<unknown[] | null> {
  const rows = await db
    .selectFrom('transcript_entries')
    .select('entry')
    .where('session_id', '=', o.sessionId)
    .where('conversation_id', '=', o.conversationId)
    .where('subpath', '=', o.subpath)
    .orderBy('position')
    .execute()
  return rows.length === 0 ? null : rows.map((row) => row.entry)
}

/** The last entries of the conversation itself that were stored by attempt `since` or a later one. */
export async function latestEntries(
  db: Db,
  o: { sessionId: string; since: number; limit: number },
): Promise<unknown[]> {
  const rows = await db
    .selectFrom('transcript_entries')
    .select('entry')
    .where('session_id', '=', o.sessionId)
    .where('subpath', '=', '')
    .where('attempt', '>=', o.since)
    .orderBy('position', 'desc')
    .limit(o.limit)
    .execute()
  return rows.map((row) => row.entry)
}

/** Whether anything of the conversation was stored. */
export async function hasConversation(
  db: Db,
  o: { sessionId: string; conversationId: string },
): Promise<boolean> {
  const row = await db
    .selectFrom('transcript_entries')
    .select('position')
    .where('session_id', '=', o.sessionId)
    .where('conversation_id', '=', o.conversationId)
    .where('subpath', '=', '')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** The transcripts of a conversation's subagents. */
export async function listTranscriptSubpaths(
  db: Db,
  o: { sessionId: string; conversationId: string },
): Promise<string[]> {
  const rows = await db
    .selectFrom('transcript_entries')
    .select('subpath')
    .distinct()
    .where('session_id', '=', o.sessionId)
    .where('conversation_id', '=', o.conversationId)
    .where('subpath', '<>', '')
    .orderBy('subpath')
    .execute()
  return rows.map((row) => row.subpath)
}
