import { systemClock } from '../../src/clock.ts'
import { newId, uuidOf } from '../../src/ids.ts'
import { claimSession, insertSession } from '../../src/store/sessions.ts'
import type { Db } from '../../src/store/tables.ts'

/** A new session that nobody has claimed; returns its id. */
export async function makeSession(db: Db): Promise<string> {
  const id = newId('sesn', systemClock)
  await insertSession(db, {
    id,
    conversationId: uuidOf(id),
    agent: {},
    environment: {},
    createdBy: null,
    now: new Date(),
  })
  return id
}

/** A new session with a first attempt. */
export async function makeClaimedSession(
  db: Db,
  node = 'node-1',
): Promise<{ sessionId: string; attempt: number }> {
  const sessionId = await makeSession(db)
  const { attempt } = await claimSession(db, { id: sessionId, node, now: new Date() })
  return { sessionId, attempt }
}
