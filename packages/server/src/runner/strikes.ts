import { fieldsOf } from '../agent/fields.ts'
import { hasFinishedTurn } from '../agent/finished-turn.ts'
import type { Lease } from '../queue/work-queue.ts'
import type { Store } from '../store/open.ts'
import { latestEntries } from '../store/transcripts.ts'
import type { Progress } from '../tasks/progress.ts'

/** Entries that are looked through for a turn, the last ones. */
const entriesMax = 1000

/**
 * What an attempt writes down before it does anything: one strike more than the one before, which
 * died; or its own alone, when the agent has finished a turn since then, and it is stored. Days of
 * work may so be cut off any number of times; what dies of its first call each time is not begun anew
 * for ever.
 */
export async function strike(
  store: Pick<Store, 'db'>,
  { lease, progress }: { readonly lease: Lease; readonly progress: Progress },
): Promise<Pick<Progress, 'strikes' | 'struck'>> {
  const { sessionId, attempt } = lease
  const { strikes, struck } = progress
  if (strikes === 0) return { strikes: 1, struck: attempt }
  const since = { sessionId, since: struck, limit: entriesMax }
  const entries = await latestEntries(store.db, since)
  const isForgiven = hasFinishedTurn(entries.map(fieldsOf))
  return { strikes: isForgiven ? 1 : strikes + 1, struck: attempt }
}
