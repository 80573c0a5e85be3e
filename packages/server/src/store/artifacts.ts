import { sql } from 'kysely'
import { newId } from '../ids.ts'
import { scrubberOf } from './scrubbing-dialect.ts'
import type { ArtifactRow, Db } from './tables.ts'
import { inTransaction, toText } from './values.ts'

/** A row of an artifact's content: small enough to stream, large enough to be few. */
const chunkBytes = 256 * 1024
export const artifactBytesMax = 64 * 1024 * 1024
/** Read with one statement: 1 MiB. */
const chunksPerRead = 4

export interface NewArtifact {
  readonly sessionId: string
  readonly attempt: number | null
  /** Unique in the session. */
  readonly name: string
  readonly contentType: string
  readonly data: Buffer
  /**
   * A format of machines, with lengths and hashes of its own, whose text is compressed (a git
   * bundle): kept as it is, for scrubbing would break it. Everything else is scrubbed.
   */
  readonly isMachineFormat?: boolean
  readonly createdBy: string | null
  readonly now: Date
}

/** An artifact as it was stored. */
export interface PutArtifact extends ArtifactRow {
  /** Whether its content had secrets, which were taken out. */
  readonly isScrubbed: boolean
}

/**
 * Stores an artifact without the secrets in it, in place of one with its name. Throws RangeError
 * beyond 64 MiB.
 */
export async function putArtifact(db: Db, artifact: NewArtifact): Promise<PutArtifact> {
  const { sessionId } = artifact
  // Its name is looked for by what is stored.
  const name = scrubberOf(db)?.text(toText(artifact.name)) ?? toText(artifact.name)
  const data = artifact.isMachineFormat === true ? artifact.data : await scrubbed(db, artifact.data)
  if (data.length > artifactBytesMax)
    throw new RangeError(`artifact ${name} is larger than ${artifactBytesMax} bytes`)
  return inTransaction(db, async (trx) => {
    const key = `artifact ${sessionId} ${name}`
    await sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`.execute(trx)
    // A new id, not new content below the old one: who reads the old one must notice.
    await trx
      .deleteFrom('artifacts')
      .where('session_id', '=', sessionId)
      .where('name', '=', name)
      .execute()
    const row = await trx
      .insertInto('artifacts')
      .values({
        id: newId('art', { now: () => artifact.now.getTime() }),
        session_id: sessionId,
        attempt: artifact.attempt,
        name,
        content_type: toText(artifact.contentType),
        bytes: data.length,
        created_by: artifact.createdBy,
        created_at: artifact.now,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    for (let n = 0; n * chunkBytes < data.length; n += 1) {
      const chunk = data.subarray(n * chunkBytes, (n + 1) * chunkBytes)
      await trx
        .insertInto('artifact_chunks')
        .values({ artifact_id: row.id, n, data: chunk })
        .execute()
    }
    return { ...row, isScrubbed: data !== artifact.data }
  })
}

/** All of it, before it is cut into rows. */
async function scrubbed(db: Db, data: Buffer): Promise<Buffer> {
  return (await scrubberOf(db)?.bytesInTurns(data)) ?? data
}

export interface StoredArtifact {
  readonly meta: ArtifactRow
  /** The content, or the bytes of a part, in pieces; throws when it is replaced meanwhile. */
  read(part?: Part): AsyncIterable<Buffer>
}

/** Bytes `first` to `last`, both within the content and both included. */
interface Part {
  readonly first: number
  readonly last: number
}

export async function getArtifact(
  db: Db,
  o: { sessionId: string; name: string },
): Promise<StoredArtifact | null> {
  const meta = await db
    .selectFrom('artifacts')
    .selectAll()
    .where('session_id', '=', o.sessionId)
    .where('name', '=', toText(o.name))
    .executeTakeFirst()
  if (!meta) return null
  const whole = { first: 0, last: meta.bytes - 1 }
  return { meta, read: (part = whole) => readChunks(db, meta, part) }
}

/** The oldest first; `after` is the id of the last one of the page before. */
export function listArtifacts(
  db: Db,
  o: { sessionId: string; after?: string; limit: number },
): Promise<ArtifactRow[]> {
  let query = db.selectFrom('artifacts').selectAll().where('session_id', '=', o.sessionId)
  if (o.after !== undefined) query = query.where('id', '>', o.after)
  return query.orderBy('id').limit(o.limit).execute()
}

/** How many artifacts of a session have names that begin with `prefix`, without one; their bytes. */
export async function countArtifacts(
  db: Db,
  o: { sessionId: string; prefix: string; except: string },
): Promise<{ count: number; bytes: number }> {
  const { count, bytes } = await db
    .selectFrom('artifacts')
    .select(({ fn }) => [
      fn.countAll<string>().as('count'),
      fn.sum<string | null>('bytes').as('bytes'),
    ])
    .where('session_id', '=', o.sessionId)
    .where(sql<boolean>`starts_with(name, ${o.prefix})`)
    .where('name', '!=', o.except)
    .executeTakeFirstOrThrow()
  return { count: Number(count), bytes: Number(bytes ?? 0) }
}

async function* readChunks(
  db: Db,
  meta: ArtifactRow,
  { first, last }: Part,
): AsyncGenerator<Buffer> {
  let n = Math.floor(first / chunkBytes)
  for (let at = n * chunkBytes; at <= last; n += chunksPerRead) {
    const rows = await db
      .selectFrom('artifact_chunks')
      .select('data')
      .where('artifact_id', '=', meta.id)
      .where('n', '>=', n)
      .orderBy('n')
      .limit(chunksPerRead)
      .execute()
    if (rows.length === 0) throw new Error(`artifact ${meta.name} was replaced while it was read`)
    for (const { data } of rows) {
      // All of it unless the part begins or ends in this chunk; nothing beyond the part's end.
      yield data.subarray(Math.max(0, first - at), Math.max(0, last + 1 - at))
      at += data.length
    }
  }
}
