import { join } from 'node:path'
import { listEndedSlots, releaseSlot } from '../store/sessions.ts'
import type { RunnerDeps } from './deps.ts'
import { limitsOf } from './limits.ts'

/**
 * Directories with work that could not be kept elsewhere, on a node. Beyond it the oldest goes: they
 * hold slots and disk, and their tasks have said for long where the work is.
 */
const keptDirectoriesMax = 20

/**
 * Removes what an ended session left on this node, its processes first, and gives its slot back.
 * The slot is still the session's own while that happens, so nobody else's process is touched.
 */
async function clear(
  { config, sandboxes, store, dataDir }: RunnerDeps,
  session: { readonly id: string; readonly slot: number },
): Promise<void> {
  const sandbox = await sandboxes.open({
    sessionId: session.id,
    directory: join(dataDir, 'sessions', session.id),
    slot: session.slot,
    limits: limitsOf(config),
    env: {},
    gitRewrite: [],
  })
  await sandbox.destroy()
  await releaseSlot(store.db, session.id)
}

/** `clear`s every ended session: after an end, and for those whose process died right after it. */
export async function sweep(deps: RunnerDeps): Promise<void> {
  const { store, node, log } = deps
  for (const session of await listEndedSlots(store.db, { node, keptMax: keptDirectoriesMax })) {
    if (session.kept_at !== null) {
      log.warn(
        { sessionId: session.id },
        'work that was not kept elsewhere gives way to newer work',
      )
    }
    await clear(deps, session).catch((error: unknown) => {
      // Tried again at the next sweep; the others need not wait for it.
      log.error({ err: error, sessionId: session.id }, 'a workspace could not be removed')
    })
  }
}
