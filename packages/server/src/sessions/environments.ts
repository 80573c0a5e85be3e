import { isDeepStrictEqual } from 'node:util'
import {
  type EnvironmentContent,
  type EnvironmentPatch,
  environmentProblems,
  type FieldError,
  patchEnvironment,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import {
  archiveEnvironmentRow,
  type EnvironmentRow,
  getEnvironment,
  insertEnvironment,
  insertNextVersion,
  lockEnvironment,
} from '../store/environments.ts'
import type { Store } from '../store/open.ts'
import type { Trx } from '../store/tables.ts'

/** What cannot be done with an environment: a conflict with how it is, or input with bad fields. */
export class EnvironmentRefused extends Error {
  readonly code:
    | 'version_conflict'
    | 'environment_archived'
    | 'environment_is_default'
    | 'invalid_input'
  readonly fields: readonly FieldError[]

  constructor(
    code: EnvironmentRefused['code'],
    message: string,
    fields: readonly FieldError[] = [],
  ) {
    super(message)
    this.code = code
    this.fields = fields
  }
}

/** Makes an environment with its first version. */
export function createEnvironment(
  trx: Trx,
  { clock }: { readonly clock: Clock },
  content: EnvironmentContent,
  caller: Caller,
): Promise<EnvironmentRow> {
  checkContent(content)
  return insertEnvironment(trx, {
    id: newId('env', clock),
    isDefault: false,
    content,
    createdBy: caller.keyId,
    now: new Date(clock.now()),
  })
}

/**
 * Makes the next version: the newest with the change. A change that changes nothing makes none.
 * With `version`, only if that is the newest. Undefined: there is no such environment.
 */
export function changeEnvironment(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  o: { readonly id: string; readonly version: number | null; readonly patch: EnvironmentPatch },
  caller: Caller,
): Promise<EnvironmentRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const newest = await lockEnvironment(trx, o.id)
    if (newest === undefined) return undefined
    if (newest.archived_at !== null)
      throw new EnvironmentRefused('environment_archived', `The environment ${o.id} is archived.`)
    if (o.version !== null && o.version !== newest.version)
      throw new EnvironmentRefused(
        'version_conflict',
        `The environment ${o.id} has gone on: its newest version is ${newest.version}, not ${o.version}. Read it, and change that.`,
      )
    const content = patchEnvironment(newest.content, o.patch)
    checkContent(content)
    if (isSame(content, newest.content)) return newest
    const now = new Date(clock.now())
    return insertNextVersion(trx, { id: o.id, content, createdBy: caller.keyId, now })
  })
}

/** Takes it from new tasks; those that have it keep it. Archiving twice changes nothing. */
export function archiveEnvironment(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  id: string,
): Promise<EnvironmentRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const newest = await lockEnvironment(trx, id)
    if (newest === undefined || newest.archived_at !== null) return newest
    if (newest.is_default)
      throw new EnvironmentRefused(
        'environment_is_default',
        `The environment ${id} is the default: it can be changed, not archived.`,
      )
    await archiveEnvironmentRow(trx, { id, now: new Date(clock.now()) })
    return getEnvironment(trx, id)
  })
}

/** Whether two versions say the same, in whatever order. */
export function isSame(a: EnvironmentContent, b: EnvironmentContent): boolean {
  return isDeepStrictEqual(a, b)
}

function checkContent(content: EnvironmentContent): void {
  const problems = environmentProblems(content)
  if (problems.length > 0)
    throw new EnvironmentRefused('invalid_input', 'The environment contradicts itself.', problems)
}
