import type { Range } from '@longhaul/client/contract'
import { type RawBuilder, sql } from 'kysely'

/** Every one of the conditions; true if there is none. */
export function all(conditions: readonly RawBuilder<unknown>[]): RawBuilder<boolean> {
  return conditions.length === 0
    ? sql<boolean>`true`
    : sql<boolean>`(${sql.join(conditions, sql` and `)})`
}

/** That a column has one of the values, where there is such a wish. */
export function isOneOf(
  column: RawBuilder<unknown>,
  values: readonly string[] | undefined,
): RawBuilder<unknown>[] {
  return values === undefined ? [] : [sql`${column} = any(${[...values]}::text[])`]
}

/** That a column is within a range, as far as it has ends. */
export function isWithin(
  column: RawBuilder<unknown>,
  { gt, gte, lt, lte }: Range<Date | number>,
): RawBuilder<unknown>[] {
  return [
    ...(gt === undefined ? [] : [sql`${column} > ${gt}`]),
    ...(gte === undefined ? [] : [sql`${column} >= ${gte}`]),
    ...(lt === undefined ? [] : [sql`${column} < ${lt}`]),
    ...(lte === undefined ? [] : [sql`${column} <= ${lte}`]),
  ]
}
