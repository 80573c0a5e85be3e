import type { AgentContent, TaskType } from '@longhaul/client/contract'
import type { Db } from './tables.ts'
import { toJson } from './values.ts'

/** A version of an agent, with what is said of the agent as a whole. */
export interface AgentRow {
  readonly id: string
  readonly version: number
  /** Of a seeded agent. */
  readonly task_type: TaskType | null
  readonly content: AgentContent
  /** Of this version; null: the program itself. */
  readonly created_by: string | null
  readonly created_at: Date
  /** When this version was made. */
  readonly updated_at: Date
  readonly archived_at: Date | null
}

/** Who makes a version, and when. */
interface Made {
  readonly createdBy: string | null
  readonly now: Date
}

/** An agent with its first version. */
export async function insertAgent(
  db: Db,
  o: Made & { readonly id: string; readonly taskType: TaskType | null; content: AgentContent },
): Promise<AgentRow> {
  await db
    .insertInto('agents')
    .values({ id: o.id, task_type: o.taskType, version: 1, created_at: o.now })
    .execute()
  return insertVersion(db, { ...o, version: 1 })
}

/** The agent's next version, which is the newest from now on. The agent is locked by the caller. */
export async function insertNextVersion(
  db: Db,
  o: Made & { readonly id: string; readonly content: AgentContent },
): Promise<AgentRow> {
  const { version } = await db
    .updateTable('agents')
    .set((set) => ({ version: set('version', '+', 1) }))
    .where('id', '=', o.id)
    .returning('version')
    .executeTakeFirstOrThrow()
  return insertVersion(db, { ...o, version })
}

/** An agent of a version, or of its newest. */
export function getAgent(db: Db, id: string, version?: number): Promise<AgentRow | undefined> {
  return select(db)
    .where('agents.id', '=', id)
    .where((where) =>
      version === undefined
        ? where('agent_versions.version', '=', where.ref('agents.version'))
        : where('agent_versions.version', '=', version),
    )
    .executeTakeFirst()
}

/** The agent of a task type, in its newest version. */
export function getAgentOfType(db: Db, type: TaskType): Promise<AgentRow | undefined> {
  return newest(db).where('agents.task_type', '=', type).executeTakeFirst()
}

/** The newest version of an agent that nobody else changes until the caller's transaction ends. */
export async function lockAgent(db: Db, id: string): Promise<AgentRow | undefined> {
  await db.selectFrom('agents').select('id').where('id', '=', id).forUpdate().execute()
  return getAgent(db, id)
}

/** Newest first, since ids sort by time; seeded ones, the oldest ids there are, come last. */
export function listAgents(
  db: Db,
  o: { readonly archived: boolean; readonly limit: number; readonly before?: string },
): Promise<AgentRow[]> {
  let query = newest(db)
  if (!o.archived) query = query.where('agents.archived_at', 'is', null)
  if (o.before !== undefined) query = query.where('agents.id', '<', o.before)
  return query.orderBy('agents.id', 'desc').limit(o.limit).execute()
}

/** The versions of an agent, newest first; `before` is the last one of the page before. */
export function listAgentVersions(
  db: Db,
  o: { readonly id: string; readonly limit: number; readonly before?: number },
): Promise<AgentRow[]> {
  let query = select(db).where('agents.id', '=', o.id)
  if (o.before !== undefined) query = query.where('agent_versions.version', '<', o.before)
  return query.orderBy('agent_versions.version', 'desc').limit(o.limit).execute()
}

export async function archiveAgentRow(db: Db, o: { id: string; now: Date }): Promise<void> {
  await db.updateTable('agents').set({ archived_at: o.now }).where('id', '=', o.id).execute()
}

async function insertVersion(
  db: Db,
  o: Made & { readonly id: string; readonly version: number; readonly content: AgentContent },
): Promise<AgentRow> {
  await db
    .insertInto('agent_versions')
    .values({
      agent_id: o.id,
      version: o.version,
      content: toJson(o.content),
      created_by: o.createdBy,
      created_at: o.now,
    })
    .execute()
  return select(db)
    .where('agents.id', '=', o.id)
    .where('agent_versions.version', '=', o.version)
    .executeTakeFirstOrThrow()
}

function newest(db: Db) {
  return select(db).whereRef('agent_versions.version', '=', 'agents.version')
}

function select(db: Db) {
  return db
    .selectFrom('agents')
    .innerJoin('agent_versions', 'agent_versions.agent_id', 'agents.id')
    .select([
      'agents.id',
      'agents.task_type',
      'agents.created_at',
      'agents.archived_at',
      'agent_versions.version',
      'agent_versions.content',
      'agent_versions.created_by',
      'agent_versions.created_at as updated_at',
    ])
}
