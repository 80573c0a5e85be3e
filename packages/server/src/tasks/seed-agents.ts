import { type TaskType, taskType } from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Clock } from '../clock.ts'
import { isSame } from '../sessions/agents.ts'
import { getAgentOfType, insertAgent, insertNextVersion } from '../store/agents.ts'
import type { Store } from '../store/open.ts'
import type { Trx } from '../store/tables.ts'
import { presets } from './presets.ts'

/** The digits of the presets' ids, which are the same in every installation. */
const idDigits = 26

/**
 * Stores the presets as agents, one a task type. Where the program's preset has changed since, it
 * becomes the next version, unless an operator made the newest one: that stays.
 */
export function seedAgents({
  store,
  clock,
}: {
  readonly store: Store
  readonly clock: Clock
}): Promise<void> {
  return store.db.transaction().execute(async (trx) => {
    // Servers that start at once seed one after the other.
    await sql`select pg_advisory_xact_lock(hashtextextended('longhaul seed agents', 0))`.execute(
      trx,
    )
    for (const type of taskType.options) await seed(trx, { type, now: new Date(clock.now()) })
  })
}

async function seed(
  trx: Trx,
  { type, now }: { readonly type: TaskType; readonly now: Date },
): Promise<void> {
  const made = { id: seededId(type), content: presets[type].agent, createdBy: null, now }
  const newest = await getAgentOfType(trx, type)
  if (newest === undefined) await insertAgent(trx, { ...made, taskType: type })
  else if (newest.created_by === null && !isSame(newest.content, made.content))
    await insertNextVersion(trx, made)
}

function seededId(type: TaskType): string {
  const number = taskType.options.indexOf(type) + 1
  return `agent_${String(number).padStart(idDigits, '0')}`
}
