import type { ApiKey } from '@longhaul/client/contract'
import { spentToday } from '../store/key-spending.ts'
import type { Db, KeyRow } from '../store/tables.ts'

/** Keys in the form of `/v1`, with what they have spent today; never a key itself, nor its hash. */
export async function presentKeys(db: Db, rows: readonly KeyRow[], now: Date): Promise<ApiKey[]> {
  const spent = await spentToday(db, { keyIds: rows.map(({ id }) => id), now })
  return rows.map((row) => ({
    type: 'key',
    id: row.id,
    name: row.name,
    scopes: row.scopes,
    day_budget_usd: row.limits.day_budget_usd ?? null,
    concurrency: row.limits.concurrency ?? null,
    spent_today_usd: spent.get(row.id) ?? 0,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
  }))
}
