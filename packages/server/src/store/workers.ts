import { sql } from 'kysely'
import type { Db } from './tables.ts'
import type { Held, WorkerRow } from './worker-table.ts'

/** A worker that has not been heard of for so long is forgotten. */
const forgottenMs = 3_600_000
/** One that has not been heard of for so long is lost: it announces itself every three seconds. */
export const silentMsMax = 15_000

export interface NewWorker {
  readonly id: string
  /** Its data directory's; the worker that had it before is gone. */
  readonly node: string
  readonly host: string
  readonly version: string
  readonly labels: readonly string[]
  readonly slots: number
  readonly now: Date
}

/** Announces a worker, in place of the one before it on its node. */
export async function insertWorker(db: Db, worker: NewWorker): Promise<void> {
  const { now, labels, ...row } = worker
  await db.deleteFrom('workers').where('node', '=', worker.node).execute()
  await db
    .insertInto('workers')
    .values({ ...row, labels: [...labels], running: 0, started_at: now, seen_at: now })
    .execute()
}

/** Says that a worker is there, how much it runs, and what holds it. Undefined: it was forgotten meanwhile. */
export function touchWorker(
  db: Db,
  o: {
    readonly id: string
    readonly running: number
    readonly held: Held | null
    readonly now: Date
  },
): Promise<Pick<WorkerRow, 'draining_at' | 'hand_back'> | undefined> {
  return db
    .updateTable('workers')
    .set({ running: o.running, held: o.held, seen_at: o.now })
    .where('id', '=', o.id)
    .returning(['draining_at', 'hand_back'])
    .executeTakeFirst()
}

/** What all the workers are short of that are there and take work, the disk first; null: one is not, or none is there. */
export async function heldOfAll(db: Db, now: Date): Promise<Held | null> {
  const heard = new Date(now.getTime() - silentMsMax)
  const { rows } = await sql<{ held: Held | null }>`
    select case when bool_and(held is not null) then min(held) end as held
    from workers where draining_at is null and seen_at >= ${heard}`.execute(db)
  return rows[0]?.held ?? null
}

/** Has a worker take nothing new; what was asked before stays. Undefined: there is no such worker. */
export function drainWorker(
  db: Db,
  o: { readonly id: string; readonly handBack: boolean; readonly now: Date },
): Promise<WorkerRow | undefined> {
  return db
    .updateTable('workers')
    .set((set) => ({
      draining_at: set.fn.coalesce('draining_at', set.val(o.now)),
      hand_back: sql<boolean>`hand_back or ${o.handBack}`,
    }))
    .where('id', '=', o.id)
    .returningAll()
    .executeTakeFirst()
}

/** Newest first; those that nobody has heard of for an hour are forgotten. */
export async function listWorkers(db: Db, now: Date): Promise<WorkerRow[]> {
  const forgotten = new Date(now.getTime() - forgottenMs)
  await db.deleteFrom('workers').where('seen_at', '<', forgotten).execute()
  return db.selectFrom('workers').selectAll().orderBy('id', 'desc').execute()
}

export function getWorker(db: Db, id: string): Promise<WorkerRow | undefined> {
  return db.selectFrom('workers').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function deleteWorker(db: Db, id: string): Promise<void> {
  await db.deleteFrom('workers').where('id', '=', id).execute()
}
