import {
  type EnvironmentContent,
  type EnvironmentLimits,
  type EnvironmentReference,
  type FieldError,
  overridden,
  type SandboxOverrides,
  widened,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import {
  type EnvironmentRow,
  getDefaultEnvironment,
  getEnvironment,
} from '../store/environments.ts'
import type { Db } from '../store/tables.ts'
import { EnvironmentRefused } from './environments.ts'

/** Where a task runs, for good: a version of an environment, with what the order changed of it. */
interface PinnedEnvironment {
  readonly pin: Required<EnvironmentReference>
  readonly content: EnvironmentContent
}

/** A key that may say what sandboxes reach and take may say it in an order as well. */
const widening = 'environments:write'

/**
 * The environment of a new task: the one that the order names, or its repository's, or the default;
 * with what the order changes. Refuses, naming every field, what allows more than the repository's
 * environment (or the default), unless the caller's key may widen.
 */
export async function environmentForTask(
  db: Db,
  o: {
    readonly given: EnvironmentReference | undefined
    readonly overrides: SandboxOverrides | undefined
    /** Id of the one that the repository's settings name. */
    readonly ofRepository: string | undefined
    readonly caller: Caller
    /** The server's limits, which count where an environment says none. */
    readonly defaults: Readonly<Record<keyof EnvironmentLimits, number>>
  },
): Promise<PinnedEnvironment> {
  const base = await baseOf(db, o.ofRepository)
  const named = o.given === undefined ? base : await versionOf(db, o.given)
  const content = overridden(named.content, o.overrides ?? {})
  if (!o.caller.scopes.some((scope) => scope === '*' || scope === widening)) {
    const fields = [
      ...inFields('environment', widened(base.content, named.content, o.defaults)),
      ...inFields('sandbox', widened(named.content, content, o.defaults)),
    ]
    if (fields.length > 0)
      throw new EnvironmentRefused('invalid_input', sentence, fields.map(explained))
  }
  return { pin: { id: named.id, version: named.version }, content }
}

const sentence = 'The order allows its sandbox more than this key may.'

function explained({ field, message }: FieldError): FieldError {
  return { field, message: `${message}: more needs a key with the scope ${widening}` }
}

function inFields(prefix: string, problems: readonly FieldError[]): FieldError[] {
  return problems.map(({ field, message }) => ({ field: `${prefix}.${field}`, message }))
}

async function baseOf(db: Db, ofRepository: string | undefined): Promise<EnvironmentRow> {
  const found = ofRepository === undefined ? undefined : await getEnvironment(db, ofRepository)
  // One that was archived since is not for new tasks, and no other one stands in for it.
  if (found !== undefined && found.archived_at === null) return found
  if (ofRepository !== undefined) {
    const message = `expected an environment that is not archived, and the repository's settings name ${ofRepository}`
    throw refused('environment', message)
  }
  const seeded = await getDefaultEnvironment(db)
  if (seeded === undefined) throw new Error('no default environment was seeded')
  return seeded
}

async function versionOf(db: Db, { id, version }: EnvironmentReference): Promise<EnvironmentRow> {
  const newest = await getEnvironment(db, id)
  if (newest === undefined) throw refused('environment', `there is no environment ${id}`)
  if (newest.archived_at !== null)
    throw refused('environment', `expected an environment that is not archived, got ${id}`)
  const found = version === undefined ? newest : await getEnvironment(db, id, version)
  if (found !== undefined) return found
  const message = `expected a version of ${id}, from 1 to ${newest.version}, got ${version}`
  throw refused('environment.version', message)
}

function refused(field: string, message: string): EnvironmentRefused {
  return new EnvironmentRefused('invalid_input', message, [{ field, message }])
}
