import { isDeepStrictEqual } from 'node:util'
import {
  type AgentContent,
  type AgentPatch,
  type AgentReference,
  agentProblems,
  type FieldError,
  patchAgent,
  type TaskType,
} from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import {
  type AgentRow,
  archiveAgentRow,
  getAgent,
  getAgentOfType,
  insertAgent,
  insertNextVersion,
  lockAgent,
} from '../store/agents.ts'
import type { Store } from '../store/open.ts'
import type { Db, Trx } from '../store/tables.ts'

/** What cannot be done with an agent: a conflict with how it is, or input with bad fields. */
export class AgentRefused extends Error {
  readonly code: 'version_conflict' | 'agent_archived' | 'agent_of_type' | 'invalid_input'
  readonly fields: readonly FieldError[]

  constructor(code: AgentRefused['code'], message: string, fields: readonly FieldError[] = []) {
    super(message)
    this.code = code
    this.fields = fields
  }
}

/** Makes an agent with its first version. */
export function createAgent(
  trx: Trx,
  { clock }: { readonly clock: Clock },
  content: AgentContent,
  caller: Caller,
): Promise<AgentRow> {
  checkContent(content)
  return insertAgent(trx, {
    id: newId('agent', clock),
    taskType: null,
    content,
    createdBy: caller.keyId,
    now: new Date(clock.now()),
  })
}

/**
 * Makes the next version: the newest with the change. A change that changes nothing makes none.
 * With `version`, only if that is the newest. Undefined: there is no such agent.
 */
export function changeAgent(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  o: { readonly id: string; readonly version: number | null; readonly patch: AgentPatch },
  caller: Caller,
): Promise<AgentRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const newest = await lockAgent(trx, o.id)
    if (newest === undefined) return undefined
    if (newest.archived_at !== null)
      throw new AgentRefused('agent_archived', `The agent ${o.id} is archived.`)
    if (o.version !== null && o.version !== newest.version)
      throw new AgentRefused(
        'version_conflict',
        `The agent ${o.id} has gone on: its newest version is ${newest.version}, not ${o.version}. Read it, and change that.`,
      )
    const content = patchAgent(newest.content, o.patch)
    checkContent(content)
    if (isSame(content, newest.content)) return newest
    const now = new Date(clock.now())
    return insertNextVersion(trx, { id: o.id, content, createdBy: caller.keyId, now })
  })
}

/** Takes it from new tasks; those that have it keep it. Archiving twice changes nothing. */
export function archiveAgent(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  id: string,
): Promise<AgentRow | undefined> {
  return store.db.transaction().execute(async (trx) => {
    const newest = await lockAgent(trx, id)
    if (newest === undefined || newest.archived_at !== null) return newest
    if (newest.task_type !== null)
      throw new AgentRefused(
        'agent_of_type',
        `The agent ${id} is that of ${newest.task_type} tasks: it can be changed, not archived.`,
      )
    await archiveAgentRow(trx, { id, now: new Date(clock.now()) })
    return getAgent(trx, id)
  })
}

/** The version that a new task gets: the one that the order names, or the newest of its type's. */
export async function agentForTask(
  db: Db,
  order: { readonly type: TaskType; readonly agent?: AgentReference },
): Promise<AgentRow> {
  if (order.agent === undefined) {
    const seeded = await getAgentOfType(db, order.type)
    if (seeded === undefined) throw new Error(`no agent of ${order.type} tasks was seeded`)
    return seeded
  }
  const { id, version } = order.agent
  const newest = await getAgent(db, id)
  if (newest === undefined) throw badReference('agent', `there is no agent ${id}`)
  if (newest.archived_at !== null)
    throw badReference('agent', `expected an agent that is not archived, got ${id}`)
  const found = version === undefined ? newest : await getAgent(db, id, version)
  if (found !== undefined) return found
  const message = `expected a version of ${id}, from 1 to ${newest.version}, got ${version}`
  throw badReference('agent.version', message)
}

/** Whether two versions say the same, in whatever order. */
export function isSame(a: AgentContent, b: AgentContent): boolean {
  return isDeepStrictEqual(a, b)
}

function checkContent(content: AgentContent): void {
  const problems = agentProblems(content)
  if (problems.length > 0)
    throw new AgentRefused('invalid_input', 'The agent contradicts itself.', problems)
}

function badReference(field: string, message: string): AgentRefused {
  return new AgentRefused('invalid_input', message, [{ field, message }])
}
