import { hostname } from 'node:os'
import { newId } from '../ids.ts'
import { deleteWorker, insertWorker, touchWorker } from '../store/workers.ts'
import type { RunnerDeps } from './deps.ts'
import { heldBy } from './floors.ts'

/** Between two words of a worker, and so how late it may hear that it is to be drained. */
const beatMs = 3000
const hostCharsMax = 255

/** Either takes nothing new; what runs goes to its end, or back. */
export type Asked = 'drain' | 'hand_back'

/**
 * Keeps the row of this worker up to date, and hears there what it is asked, until `signal` aborts; then
 * the row goes. A row that was forgotten while the store was away is made anew.
 */
export async function announce(
  { store, node, config, version, clock, log, disk, memory }: RunnerDeps,
  o: {
    readonly running: () => number
    readonly onAsked: (asked: Asked) => void
    readonly signal: AbortSignal
  },
): Promise<void> {
  const { running, onAsked, signal } = o
  const id = newId('worker', clock)
  let isThere = false
  while (!signal.aborted) {
    const now = new Date(clock.now())
    try {
      if (!isThere) {
        const { workerLabels: labels, taskConcurrency: slots } = config
        const host = hostname().slice(0, hostCharsMax)
        await insertWorker(store.db, { id, node, host, version, labels, slots, now })
        isThere = true
      }
      const held = await heldBy({ disk, memory })
      const row = await touchWorker(store.db, { id, running: running(), held, now })
      isThere = row !== undefined
      if (row?.draining_at) onAsked(row.hand_back ? 'hand_back' : 'drain')
    } catch (error) {
      log.warn({ err: error }, 'the worker could not be announced')
    }
    await clock.sleep(beatMs, signal).catch(() => undefined) // It ends.
  }
  await deleteWorker(store.db, id).catch((error: unknown) => {
    log.warn({ err: error }, 'the worker could not take its leave')
  })
}
