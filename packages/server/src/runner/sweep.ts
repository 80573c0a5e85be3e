import { join } from 'node:path'
import { listLeftPlaces, releaseLeftPlace } from '../store/left-places.ts'
import { listEndedSlots, listParkedSlots, releaseSlot } from '../store/sessions.ts'
import type { RunnerDeps } from './deps.ts'
import { limitsOf } from './limits.ts'

type SweepDeps = Pick<
  RunnerDeps,
  'store' | 'node' | 'config' | 'sandboxes' | 'dataDir' | 'clock' | 'log'
>

/**
 * Directories with work that could not be kept elsewhere, on a node. Beyond it the oldest goes: they
 * hold slots and disk, and their tasks have said for long where the work is.
 */
const keptDirectoriesMax = 20
/** Places that one sweep removes; the rest follows with the next. */
const leftPlacesMax = 50
/** Parked sessions that give way in one sweep: attempts may wait for it. */
const givingWayMax = 20

/**
 * Removes what a session has, or left, on this node, its processes first, and gives its slot back.
 * The slot is still the session's own while that happens, so nobody else's process is touched.
 */
async function clear(
  deps: SweepDeps,
  session: { readonly id: string; readonly slot: number },
  release: () => Promise<void>,
): Promise<void> {
  await remove(deps, session)
    .then(release)
    .catch((error: unknown) => {
      // Tried again at the next sweep; the others need not wait for it.
      deps.log.error({ err: error, sessionId: session.id }, 'a workspace could not be removed')
    })
}

async function remove(
  { config, sandboxes, dataDir }: SweepDeps,
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
}

/**
 * `clear`s every ended session, after an end and for those whose process died right after it; the
 * places that sessions left for another node, or that were nobody's (`Orphans`); and the longest parked
 * sessions beyond the bound, whose checkpoint has all that their agent did: a node has fewer slots than
 * tasks may be parked.
 */
export async function sweep(deps: SweepDeps): Promise<void> {
  const { store, node, log, config } = deps
  for (const session of await listEndedSlots(store.db, { node, keptMax: keptDirectoriesMax })) {
    if (session.kept_at !== null) {
      log.warn(
        { sessionId: session.id },
        'work that was not kept elsewhere gives way to newer work',
      )
    }
    await clear(deps, session, () =>
      releaseSlot(store.db, { ...session, node, status: 'terminated' }),
    )
  }
  for (const place of await listLeftPlaces(store.db, { node, limit: leftPlacesMax }))
    await clear(deps, { id: place.sessionId, slot: place.slot }, () =>
      releaseLeftPlace(store.db, { ...place, node }),
    )
  const parked = { node, keptMax: config.parkedWorkspacesMax, limit: givingWayMax }
  for (const session of await listParkedSlots(store.db, parked))
    await clear(deps, session, () => releaseSlot(store.db, { ...session, node, status: 'idle' }))
}
