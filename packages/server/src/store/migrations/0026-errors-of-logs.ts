/**
 * The errors of a log have an index: reading a log of 20,000 events for them took 30 ms. `event_is_error`
 * is one expression, so that the planner sees through it, in the index and in a query alike. By itself,
 * for reading all events takes long, and no other table is to be locked meanwhile. (Who followed
 * unreleased versions has both already.)
 */
export const errorsOfLogs = {
  name: '0026-errors-of-logs',
  sql: `
create or replace function event_is_error(type text, payload jsonb) returns boolean
language sql immutable parallel safe
return (
  type in ('session.error', 'task.failed')
  or payload @> '{"is_error": true}'
  or payload ->> 'outcome' in ('failed', 'timed_out')
  or payload -> 'result' ->> 'outcome' in ('failed', 'timed_out')
  or jsonb_typeof(payload -> 'failure') = 'object'
);
create index if not exists events_errors on events (session_id, seq) where event_is_error(type, payload);
`,
}
