/** The model request that was added to a session's sums last: added again, it changes nothing. */
export const usageIds = {
  name: '0032-usage-ids',
  sql: `alter table sessions add column last_usage_id text`,
}
