import { type Priority, priority } from '@longhaul/client/contract'
import { sql } from 'kysely'
import type { Metrics } from '../metrics.ts'
import type { Db } from '../store/tables.ts'

interface Depth {
  readonly priority: Priority
  /** Could start, if there were room. */
  readonly waiting: number
  /** Waits for its time. */
  readonly delayed: number
  readonly active: number
  /** Of what could start; null: nothing could. */
  readonly oldest_seconds: number | null
}

/** For how long the oldest work that could start has waited, in milliseconds; null: none waits. */
export async function oldestWaitMs(db: Db): Promise<number | null> {
  const { rows } = await sql<{ ms: number | null }>`
    select 1000 * extract(epoch from now() - min(greatest(created_on, start_after)))::float8 as ms
    from pgboss.job
    where name = 'sessions' and state < 'active' and start_after <= now()`.execute(db)
  return rows[0]?.ms ?? null
}

/** Looks at the work of all nodes together and says so in the metrics. */
export async function measureQueue(db: Db, metrics: Metrics): Promise<void> {
  const { rows } = await sql<Depth>`
    select tasks.priority,
      count(*) filter (where job.state < 'active' and start_after <= now()) as waiting,
      count(*) filter (where job.state < 'active' and start_after > now()) as delayed,
      count(*) filter (where job.state = 'active') as active,
      extract(epoch from now() - min(greatest(job.created_on, start_after))
        filter (where job.state < 'active' and start_after <= now()))::float8 as oldest_seconds
    from pgboss.job join tasks on tasks.session_id = job.singleton_key
    where job.name = 'sessions' and job.state <= 'active'
    group by tasks.priority`.execute(db)
  for (const name of priority.options) {
    const row = rows.find((each) => each.priority === name)
    for (const status of ['waiting', 'delayed', 'active'] as const)
      metrics.queueDepth.set({ priority: name, status }, row?.[status] ?? 0)
    metrics.queueOldestAge.set({ priority: name }, row?.oldest_seconds ?? 0)
  }
}
