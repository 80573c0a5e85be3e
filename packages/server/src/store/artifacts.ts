import { sql } from 'kysely'
import { newId } from '../ids.ts'
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
  readonly createdBy: string | null
  readonly now: Date
}

/** Stores an artifact, in place of one with its name. Throws RangeError beyond 64 MiB. */
export function putArtifact(db: Db, artifact: NewArtifact): Promise<ArtifactRow> {
  const { data, sessionId } = artifact
  const name = toText(artifact.name)
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
    return row
  })
}

export interface StoredArtifact {
  readonly meta: ArtifactRow
  /** The content, in pieces; throws when the artifact is replaced meanwhile. */
  read(): AsyncIterable<Buffer>
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
  return meta ? { meta, read: () => readChunks(db, meta) } : null
}

/** By name. */
export function listArtifacts(db: Db, sessionId: string): Promise<ArtifactRow[]> {
  return db
    .selectFrom('artifacts')
    .selectAll()
    .where('session_id', '=', sessionId)
    .orderBy('name')
    .execute()
}

async function* readChunks(db: Db, meta: ArtifactRow): AsyncGenerator<Buffer> {
  let bytes = 0
  for (let n = 0; bytes < meta.bytes; n += chunksPerRead) {
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
      bytes += data.length
      yield data
    }
  }
}
