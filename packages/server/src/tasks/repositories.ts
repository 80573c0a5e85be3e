import {
  type GivenOrder,
  type NewRepository,
  parseRepoUrl,
  type RepositorySettings,
  type SettingsPatch,
  type TaskOrder,
  timeLimitMinutesDefault,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import { EnvironmentRefused } from '../sessions/environments.ts'
import { getEnvironment } from '../store/environments.ts'
import type { Store } from '../store/open.ts'
import {
  findRepository,
  insertRepository,
  lockRepository,
  updateRepository,
} from '../store/repositories.ts'
import type { RepositoryRow, Trx } from '../store/tables.ts'

/**
 * The order, with what it left open filled from the present settings of its repository. What the
 * order says wins; who commits, and what may be pushed, are the repository's alone to say.
 */
export async function resolveOrder(trx: Trx, given: Pinned): Promise<Resolved> {
  const row = await findRepository(trx, parseRepoUrl(given.repoUrl).url)
  // How many run at once is looked up when they are claimed.
  const { environment: ofRepository, concurrency: _, ...settings } = row?.settings ?? {}
  return { order: fillOrder(given, settings), ofRepository }
}

interface Resolved {
  readonly order: TaskOrder
  /** Id of the environment that the repository's settings name. */
  readonly ofRepository: string | undefined
}

/** An order that says which version of an agent works. */
type Pinned = Omit<GivenOrder, 'agent' | 'environment'> & Pick<TaskOrder, 'agent'>

function fillOrder(
  given: Pinned,
  all: Omit<RepositorySettings, 'environment' | 'concurrency'>,
): TaskOrder {
  const { commit, allowWorkflowChanges, pullRequest, ...settings } = all
  const fromRepository = [
    ...missing(settings, given),
    ...missing(pullRequest ?? {}, given.pullRequest ?? {}).map((name) => `pullRequest.${name}`),
    ...(commit ? ['commit'] : []),
    ...(allowWorkflowChanges === undefined ? [] : ['allowWorkflowChanges']),
  ]
  return {
    timeLimitMinutes: timeLimitMinutesDefault,
    ...settings,
    ...given,
    ...(pullRequest && { pullRequest: { ...pullRequest, ...given.pullRequest } }),
    ...(commit && { commit }),
    ...(allowWorkflowChanges !== undefined && { allowWorkflowChanges }),
    ...(fromRepository.length > 0 && { fromRepository }),
  }
}

/** Names of what `settings` have and `given` has not. */
function missing(settings: object, given: object): string[] {
  return Object.keys(settings).filter((name) => !Object.hasOwn(given, name))
}

/** Makes the settings of a repository; undefined when it has some already. */
export async function createRepository(
  trx: Trx,
  { clock }: { readonly clock: Clock },
  { url, settings }: NewRepository,
  caller: Caller,
): Promise<RepositoryRow | undefined> {
  await checkEnvironment(trx, settings)
  return insertRepository(trx, {
    id: newId('repo', clock),
    url,
    settings: applyPatch({}, settings),
    createdBy: caller.keyId,
    now: new Date(clock.now()),
  })
}

/** Changes settings, for tasks that are made from now on; undefined: there is no such repository. */
export function changeRepository(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  id: string,
  patch: SettingsPatch,
): Promise<RepositoryRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const row = await lockRepository(trx, id)
    if (row === undefined) return undefined
    await checkEnvironment(trx, patch)
    const settings = applyPatch(row.settings, patch)
    return updateRepository(trx, { id, settings, now: new Date(clock.now()) })
  })
}

/** Refuses the name of an environment that no task could have. */
async function checkEnvironment(trx: Trx, { environment }: SettingsPatch): Promise<void> {
  if (environment === undefined || environment === null) return
  const found = await getEnvironment(trx, environment)
  if (found !== undefined && found.archived_at === null) return
  const message = `expected an environment that is there and not archived, got ${environment}`
  throw new EnvironmentRefused('invalid_input', message, [{ field: 'environment', message }])
}

function applyPatch(settings: RepositorySettings, patch: SettingsPatch): RepositorySettings {
  const { pullRequest } = patch
  return merge(settings, {
    ...patch,
    ...(pullRequest && { pullRequest: merge(settings.pullRequest ?? {}, pullRequest) }),
  })
}

/** What is absent stays, and null clears. */
function merge(fields: object, patch: object): object {
  const named = Object.entries(patch).filter(([, value]) => value !== undefined)
  const merged = Object.entries({ ...fields, ...Object.fromEntries(named) })
  return Object.fromEntries(merged.filter(([, value]) => value !== null))
}
