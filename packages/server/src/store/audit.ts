import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { AuditRow, Db } from './tables.ts'

/** A row to insert; its position comes from the table. */
export type NewAuditRow = Omit<AuditRow, 'position'>

/** `prev_hash` of a writer's first entry. */
export const noHash = '0'.repeat(64)

/**
 * The hash that chains an entry to the one before: SHA-256, in lower case hex, of the canonical JSON
 * of `{at, entry, id, kind, prev_hash, seq, session_id, writer}`, in UTF-8. `at` is RFC 3339 in UTC
 * with milliseconds; `session_id` may be null. Canonical JSON is RFC 8785: object keys sorted by
 * UTF-16 code units, no white space, strings and numbers as ECMAScript writes them. Whoever changes,
 * removes or moves an entry has to make every later hash of its writer anew.
 */
export function auditHash(row: Omit<NewAuditRow, 'hash'>): string {
  const { at, entry, id, kind, prev_hash, seq, session_id, writer } = row
  const hashed = { at: at.toISOString(), entry, id, kind, prev_hash, seq, session_id, writer }
  return createHash('sha256').update(canonicalJson(hashed)).digest('hex')
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, own]) => `${JSON.stringify(key)}:${canonicalJson(own)}`).join(',')}}`
}

/** Stores entries of one writer. Again is as good as once: what is there already stays as it is. */
export async function insertAudit(db: Db, rows: readonly NewAuditRow[]): Promise<void> {
  const column = <K extends keyof NewAuditRow>(name: K) => rows.map((row) => row[name])
  const entries = rows.map(({ entry }) => JSON.stringify(entry))
  await sql`
    insert into audit (id, writer, seq, prev_hash, hash, at, session_id, kind, entry)
    select id, writer, seq, prev_hash, hash, at, session_id, kind, entry::jsonb
    from unnest(${column('id')}::text[], ${column('writer')}::text[], ${column('seq')}::bigint[],
      ${column('prev_hash')}::text[], ${column('hash')}::text[], ${column('at')}::timestamptz[],
      ${column('session_id')}::text[], ${column('kind')}::text[], ${entries}::text[])
      as given (id, writer, seq, prev_hash, hash, at, session_id, kind, entry)
    order by seq
    on conflict (writer, seq) do nothing`.execute(db)
}

/** What a list of entries is narrowed to; absent: anything. */
export interface AuditFilter {
  readonly sessionId?: string | undefined
  readonly verdict?: string | undefined
}

/** Entries that were stored after a position, in that order. */
export function listAudit(
  db: Db,
  o: AuditFilter & { readonly after: number; readonly limit: number },
): Promise<AuditRow[]> {
  let query = db.selectFrom('audit').selectAll().where('position', '>', o.after)
  if (o.sessionId !== undefined) query = query.where('session_id', '=', o.sessionId)
  if (o.verdict !== undefined) query = query.where(sql`entry ->> 'verdict'`, '=', o.verdict)
  return query.orderBy('position').limit(o.limit).execute()
}
