/**
 * Pages and counts of a hundred thousand tasks: what they are filtered by is in the index that has their
 * order, so that rows which do not fit are never read. Cutting a task into words takes 65 µs: dear enough
 * that a count asks the index of words instead, which the cost says to the planner.
 */
export const listPages = {
  name: '0021-list-pages',
  sql: `
create index tasks_in_order on tasks (created_at desc, id desc)
  include (status, type, priority, reason);
drop index tasks_newest;
create index sessions_cost on sessions (cost_usd);
create index sessions_newest_of_status on sessions (status, created_at desc, id desc);
alter function task_search(jsonb, jsonb) cost 10000;
`,
}
