import { sql } from 'kysely'
import type { Db } from './tables.ts'

/**
 * Has the tasks that wait for a slot say why, where they say one of `instead`. A task that somebody else
 * is about to change is passed over: it says it at the next time.
 */
export async function sayWhyQueued(
  db: Db,
  { message, instead }: { readonly message: string; readonly instead: readonly string[] },
): Promise<void> {
  await sql`
    update tasks set message = ${message} where id in (
      select id from tasks
      where status = 'pending' and reason = 'queued' and message = any(${[...instead]}::text[])
      for update skip locked)`.execute(db)
}
