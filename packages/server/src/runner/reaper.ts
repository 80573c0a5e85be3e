import type { Hint } from '../store/hint.ts'
import type { RunnerDeps } from './deps.ts'
import { forget } from './forget.ts'

/** Between two looks at what is left over on this node and in the store. */
export const reapMs = 60_000

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
