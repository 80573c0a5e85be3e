import pg from 'pg'

/**
 * Whether a statement failed because the database was away or busy, so that trying again may help;
 * otherwise it was refused, or could not be made.
 */
export function isOutage(error: unknown): boolean {
  // Classes of SQLSTATE: 08 connection, 40 rolled back, 53 resources, 57 operator intervention; and
  // 25P03, which ended a transaction that did nothing for too long.
  if (error instanceof pg.DatabaseError) return /^(08|40|53|57|25P03)/.test(error.code ?? '')
  // What is left comes from the socket or from `pg`, which has no class of its own for it.
  return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError)
}
