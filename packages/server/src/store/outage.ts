import pg from 'pg'
import type { Clock } from '../clock.ts'
import { LeaseLost } from './lease-lost.ts'

/** Between two tries of what failed because the database was away. */
const retryMs = 500

/**
 * SQLSTATEs of a database that is away, busy or failing over, by class or in full: 08 connection, 40
 * rolled back, 53 resources, 57 operator intervention, 58 the system below it (a disk that fails, a
 * file that an upgrade has moved); 25006 a primary that is a standby now, 25P03 and 25P04 a
 * transaction that took too long, 55000 a database that takes no connections, 55006 and 55P03
 * somebody else has what we need; XX000 is what poolers say when they lost their server. Some of
 * these can be a mistake of ours as well, which no try mends; that is why all tries are bounded.
 */
const outages = /^(08|40|53|57|58|25006|25P03|25P04|55000|55006|55P03|XX000)/

/**
 * Whether a statement failed because the database was away or busy, so that trying again may help;
 * otherwise it was refused, or could not be made.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return outages.test(error.code ?? '')
  if (error instanceof LeaseLost) return false
  // What is left comes from the socket or from `pg`, which has no class of its own for it.
  return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError)
}

/**
 * What `run` resolves with; while the database is away it is called again, for `ms`. It is told how
 * often it failed: a try whose answer was lost may have been stored. Rejects with the last try's
 * error, or between two tries with the signal's reason.
 */
export async function throughOutage<T>(
  o: { readonly clock: Clock; readonly ms: number; readonly signal?: AbortSignal },
  run: (failed: number) => Promise<T>,
): Promise<T> {
  const deadline = o.clock.elapsed() + o.ms
  for (let failed = 0; ; failed += 1)
    try {
      return await run(failed)
    } catch (error) {
      if (!isOutage(error) || o.clock.elapsed() > deadline) throw error
      await o.clock.sleep(retryMs, o.signal)
    }
}
