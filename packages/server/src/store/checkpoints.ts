import { newId } from '../ids.ts'
import type { CheckpointRow } from './checkpoint-tables.ts'
import { LeaseLost } from './lease-lost.ts'
import { currentAttempt } from './sessions.ts'
import type { Db, Trx } from './tables.ts'
import { inTransaction } from './values.ts'

/** A row of a checkpoint's content; it comes through a pipe and goes into one again. */
const chunkBytes = 256 * 1024

/** Whose write it is. Every one throws `LeaseLost` when another attempt has the session. */
interface Writer {
  readonly sessionId: string
  readonly attempt: number
  readonly now: Date
}

/**
 * Stores the content of a checkpoint as it comes, beside the one that counts, and answers its id.
 * It counts once `finishCheckpoint` says so; until then a crash leaves rows that the next one
 * removes. Throws what `content` throws.
 */
export async function storeCheckpoint(
  db: Db,
  o: Writer & {
    /** Made by `workspace/checkpoint.ts`; null: the workspace is as it was cloned. */
    readonly commit: string | null
    /** Number of the last event before it was taken. */
    readonly seq: number
    readonly content: AsyncIterable<Buffer>
  },
): Promise<string> {
  const { sessionId, attempt, commit, seq, now } = o
  const id = newId('chk', { now: () => now.getTime() })
  await inTransaction(db, async (trx) => {
    await fence(trx, o)
    await trx
      .deleteFrom('checkpoints')
      .where('session_id', '=', sessionId)
      .where('is_whole', '=', false)
      .execute()
    await trx
      .insertInto('checkpoints')
      .values({ id, session_id: sessionId, attempt, commit, seq, created_at: now })
      .execute()
  })
  let n = 0
  for await (const data of chunksOf(o.content)) {
    // Not fenced: it fails once another attempt has removed the row above.
    await db.insertInto('checkpoint_chunks').values({ checkpoint_id: id, n, data }).execute()
    n += 1
  }
  return id
}

/** Makes a stored checkpoint the session's one; the one before goes. */
export async function finishCheckpoint(
  trx: Trx,
  o: Writer & { readonly id: string; readonly bytes: number },
): Promise<void> {
  await fence(trx, o)
  await trx
    .deleteFrom('checkpoints')
    .where('session_id', '=', o.sessionId)
    .where('id', '<>', o.id)
    .execute()
  await trx
    .updateTable('checkpoints')
    .set({ is_whole: true, bytes: o.bytes })
    .where('id', '=', o.id)
    .execute()
}

/** Writes down that nothing was changed up to that event. */
export async function renewCheckpoint(
  db: Db,
  o: Omit<Writer, 'now'> & { readonly seq: number },
): Promise<void> {
  await inTransaction(db, async (trx) => {
    await fence(trx, o)
    await trx
      .updateTable('checkpoints')
      .set({ seq: o.seq })
      .where('session_id', '=', o.sessionId)
      .where('is_whole', '=', true)
      .execute()
  })
}

/** The session's one; undefined: none was ever taken. */
export function getCheckpoint(db: Db, sessionId: string): Promise<CheckpointRow | undefined> {
  return db
    .selectFrom('checkpoints')
    .selectAll()
    .where('session_id', '=', sessionId)
    .where('is_whole', '=', true)
    .executeTakeFirst()
}

/** Its content, a chunk at a time; throws when it is replaced meanwhile. */
export async function* readCheckpoint(
  db: Db,
  { id, bytes }: Pick<CheckpointRow, 'id' | 'bytes'>,
): AsyncGenerator<Buffer> {
  let left = bytes
  for (let n = 0; left > 0; n += 1) {
    const row = await db
      .selectFrom('checkpoint_chunks')
      .select('data')
      .where('checkpoint_id', '=', id)
      .where('n', '=', n)
      .executeTakeFirst()
    if (row === undefined) throw new Error(`the checkpoint ${id} was replaced while it was read`)
    left -= row.data.length
    yield row.data
  }
}

/** Of a session that is over. */
export async function removeCheckpoints(db: Db, sessionId: string): Promise<void> {
  await db.deleteFrom('checkpoints').where('session_id', '=', sessionId).execute()
}

async function fence(trx: Trx, o: Omit<Writer, 'now'>): Promise<void> {
  if ((await currentAttempt(trx, o.sessionId)) !== o.attempt)
    throw new LeaseLost(o.sessionId, o.attempt)
}

async function* chunksOf(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = []
  let bytes = 0
  for await (const piece of content) {
    gathered.push(piece)
    bytes += piece.length
    if (bytes < chunkBytes) continue
    const whole = Buffer.concat(gathered)
    const rest = bytes % chunkBytes
    for (let at = 0; at < bytes - rest; at += chunkBytes) yield whole.subarray(at, at + chunkBytes)
    gathered = [Buffer.from(whole.subarray(bytes - rest))]
    bytes = rest
  }
  if (bytes > 0) yield Buffer.concat(gathered)
}
