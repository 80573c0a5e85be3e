import type { Transaction } from 'kysely'
import type { Db, Tables } from './tables.ts'

/**
 * JSON text that PostgreSQL's jsonb takes: it refuses NUL and halves of surrogate pairs, which the
 * output of a program may well hold. Each becomes U+FFFD. Throws TypeError for what JSON has no word
 * for (undefined, a function, a cycle).
 */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError(`not a JSON value: ${typeof value}`)
  if (!text.includes('\\u')) return text
  // Every escape is looked at, so that an escaped backslash before `u0000` stays what it is.
  return text.replace(/\\(?:u0000|ud[89a-f][0-9a-f]{2}|.)/g, (found) =>
    found.length > 2 ? '\\ufffd' : found,
  )
}

/** Text that PostgreSQL takes: without NUL. */
export function toText(value: string): string {
  return value.replaceAll('\0', '\ufffd').toWellFormed()
}

/** Runs `statements` in the transaction that `db` is, or in one of its own. */
export function inTransaction<T>(
  db: Db,
  statements: (trx: Transaction<Tables>) => Promise<T>,
): Promise<T> {
  return isTransaction(db) ? statements(db) : db.transaction().execute(statements)
}

function isTransaction(db: Db): db is Transaction<Tables> {
  return db.isTransaction
}
