import type { MessageMode } from '@longhaul/client/contract'
import type { Db, MessageRow } from './tables.ts'
import { toText } from './values.ts'

export interface NewMessage {
  readonly id: string
  readonly sessionId: string
  readonly seq: number
  readonly mode: MessageMode
  readonly text: string
  readonly interruptId: string | null
  readonly createdBy: string | null
  readonly now: Date
}

export function insertMessage(db: Db, message: NewMessage): Promise<MessageRow> {
  return db
    .insertInto('messages')
    .values({
      id: message.id,
      session_id: message.sessionId,
      seq: message.seq,
      mode: message.mode,
      text: toText(message.text),
      interrupt_id: message.interruptId,
      created_by: message.createdBy,
      created_at: message.now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Messages that the agent has not read, oldest first; as many as may wait. */
export function waitingMessages(db: Db, sessionId: string): Promise<MessageRow[]> {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('session_id', '=', sessionId)
    .where('processed_at', 'is', null)
    .orderBy('seq')
    .execute()
}

/** False when it was marked before. */
export async function markProcessed(db: Db, o: { id: string; now: Date }): Promise<boolean> {
  const row = await db
    .updateTable('messages')
    .set({ processed_at: o.now })
    .where('id', '=', o.id)
    .where('processed_at', 'is', null)
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}
