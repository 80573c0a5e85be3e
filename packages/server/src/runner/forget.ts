import { removeExpiredKeys } from '../store/idempotency.ts'
import {
  listOldRecordings,
  listOldTasks,
  type OldTask,
  removeOldSpending,
  removeRecordings,
} from '../store/retention.ts'
import { deleteTask } from '../tasks/delete.ts'
import type { RunnerDeps } from './deps.ts'

const dayMs = 24 * 3_600_000
/** As long as an idempotency key is remembered. */
const idempotencyMs = 30 * dayMs
const reservationMs = dayMs
const spendingMs = 400 * dayMs
/** Batches of one look, of sessions and of tasks; the rest follows a minute later. */
const batchesMax = 10

type Deps = Pick<RunnerDeps, 'store' | 'config' | 'clock' | 'log'>

/**
 * Removes what is older than it is kept for. Any number of nodes may do so at once. What cannot be removed is
 * in the log, and keeps nothing else from going.
 */
export async function forget(deps: Deps, signal: AbortSignal): Promise<void> {
  const { store, config, clock, log } = deps
  const now = clock.now()
  const before = (ms: number) => new Date(now - ms)
  await removeExpiredKeys(store.db, before(idempotencyMs))
  await removeOldSpending(store.db, {
    reservedBefore: before(reservationMs),
    dayBefore: before(spendingMs),
  })
  const { recordingsDays, tasksDays } = config.retention
  const recordings =
    recordingsDays === null
      ? 0
      : await forgetRecordings(deps, before(recordingsDays * dayMs), signal)
  const tasks = tasksDays === null ? 0 : await forgetTasks(deps, before(tasksDays * dayMs), signal)
  if (recordings + tasks > 0)
    log.info({ recordings, tasks }, 'what was kept for long enough is gone')
}

function forgetRecordings(deps: Deps, endedBefore: Date, signal: AbortSignal): Promise<number> {
  return eachOld<string>(deps, signal, {
    list: (except) => listOldRecordings(deps.store.db, { endedBefore, except }),
    idOf: (id) => id,
    remove: (sessionId) => removePieces(deps, { sessionId, endedBefore }, signal),
  })
}

function forgetTasks(deps: Deps, endedBefore: Date, signal: AbortSignal): Promise<number> {
  return eachOld<OldTask>(deps, signal, {
    list: (except) => listOldTasks(deps.store.db, { endedBefore, except }),
    idOf: ({ id }) => id,
    remove: async ({ id, sessionId }) => {
      // What is large goes first: the task goes with one statement, which has a time limit.
      await removePieces(deps, { sessionId, endedBefore }, signal)
      if (signal.aborted) return false
      await deleteTask(deps, id, { endedBefore })
      return true
    },
  })
}

/** Whether nothing is left of it. */
async function removePieces(
  { store, clock }: Deps,
  o: { readonly sessionId: string; readonly endedBefore: Date },
  signal: AbortSignal,
): Promise<boolean> {
  while (!signal.aborted) {
    const left = await removeRecordings(store.db, { ...o, now: new Date(clock.now()) })
    if (left !== 'more') return left === 'gone'
  }
  return false
}

interface Old<Row> {
  /** The next of them, but for those that were tried. */
  readonly list: (tried: readonly string[]) => Promise<readonly Row[]>
  readonly idOf: (row: Row) => string
  /** Whether it is gone. */
  readonly remove: (row: Row) => Promise<boolean>
}

/** Tries each by itself, once; how many were removed. Throws when the database is away. */
async function eachOld<Row>(deps: Deps, signal: AbortSignal, o: Old<Row>): Promise<number> {
  const tried: string[] = []
  let removed = 0
  for (let n = 0; n < batchesMax; n += 1) {
    const rows = await o.list(tried)
    if (rows.length === 0) break
    for (const row of rows) {
      if (signal.aborted) return removed
      tried.push(o.idOf(row))
      if (await isRemoved(deps, signal, { row, remove: o.remove })) removed += 1
    }
  }
  return removed
}

async function isRemoved<Row>(
  { store, log }: Deps,
  signal: AbortSignal,
  { row, remove }: Pick<Old<Row>, 'remove'> & { readonly row: Row },
): Promise<boolean> {
  try {
    return await remove(row)
  } catch (error) {
    if (signal.aborted) return false
    log.error({ err: error, row }, 'what was kept for long enough could not be removed')
    await store.ping(signal)
    return false
  }
}
