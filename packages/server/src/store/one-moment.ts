import type { Kysely } from 'kysely'
import type { Tables, Trx } from './tables.ts'

/** What several statements read as the store was at one moment, whatever is written meanwhile. */
export function atOneMoment<T>(db: Kysely<Tables>, read: (trx: Trx) => Promise<T>): Promise<T> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(read)
}
