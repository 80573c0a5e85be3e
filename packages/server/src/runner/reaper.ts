import type { Hint } from '../store/hint.ts'
import { removeExpiredKeys } from '../store/idempotency.ts'
import { listOldTasks, removeOldSpending, removeRecordings } from '../store/retention.ts'
import { deleteTask } from '../tasks/delete.ts'
import type { RunnerDeps } from './deps.ts'

/** Between two looks at what is left over on this node and in the store. */
export const reapMs = 60_000
const dayMs = 24 * 3_600_000
/** As long as an idempotency key is remembered. */
const idempotencyMs = 30 * dayMs
const reservationMs = dayMs
const spendingMs = 400 * dayMs
/** Batches of one look; the rest follows a minute later. */
const batchesMax = 10

type Deps = Pick<
  RunnerDeps,
  'store' | 'config' | 'clock' | 'log' | 'disk' | 'mirrors' | 'sandboxes'
>

/**
 * Looks once a minute, until the signal aborts, for what nobody else removes: directories of sessions
 * that went on elsewhere or were over when their node died (`sweep`), the control groups of those that
 * ran then, what is older than it is kept for, and mirrors, which can be had again: those that were not
 * used for a month, and others while the disk has little room.
 */
export async function reap(
  deps: Deps,
  {
    sweep,
    full,
    signal,
  }: {
    readonly sweep: () => Promise<void>
    /** Given when work has to wait for room on the disk: the next look is at once. */
    readonly full: Hint
    readonly signal: AbortSignal
  },
): Promise<void> {
  const { log } = deps
  const run = async (part: (deps: Deps, signal: AbortSignal) => Promise<void>): Promise<void> => {
    await part(deps, signal).catch((error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, 'what is left over could not be removed')
    })
  }
  await run(clearUp)
  while (!signal.aborted) {
    await full.wait(signal).catch(() => undefined)
    if (signal.aborted) return
    await sweep()
    for (const part of [clearUp, makeRoom, expire, forget]) await run(part)
  }
}

function clearUp({ sandboxes }: Deps): Promise<void> {
  return sandboxes.clearUp()
}

/** What can be had again gives way before work has to wait for room, and at once when it has to. */
async function makeRoom({ disk, mirrors, log }: Deps, signal: AbortSignal): Promise<void> {
  const given = await mirrors.giveUpUnused(() => disk.isLow(), signal)
  if (given > 0) log.warn({ mirrors: given }, 'mirrors give way: the disk is nearly full')
}

function expire({ mirrors }: Deps, signal: AbortSignal): Promise<void> {
  return mirrors.expire(signal)
}

/** What is older than it is kept for. Any number of nodes may do so at once. */
async function forget({ store, config, clock, log }: Deps, signal: AbortSignal): Promise<void> {
  const now = clock.now()
  const before = (ms: number) => new Date(now - ms)
  await removeExpiredKeys(store.db, before(idempotencyMs))
  await removeOldSpending(store.db, {
    reservedBefore: before(reservationMs),
    dayBefore: before(spendingMs),
  })
  const { recordingsDays, tasksDays } = config.retention
  for (let n = 0; n < batchesMax && !signal.aborted; n += 1) {
    const removed =
      recordingsDays === null ? 0 : await removeRecordings(store.db, before(recordingsDays * dayMs))
    const old = tasksDays === null ? [] : await listOldTasks(store.db, before(tasksDays * dayMs))
    for (const id of old) await deleteTask({ store, clock }, id)
    if (removed + old.length === 0) return
    log.info({ recordings: removed, tasks: old.length }, 'what was kept for long enough is gone')
  }
}
