/**
 * Since when nothing has arrived at an endpoint, and how many deliveries to it were given up since: one
 * that has failed for long enough is disabled.
 */
export const failingEndpoints = {
  name: '0023-failing-endpoints',
  sql: `
alter table endpoints add column failing_since timestamptz;
alter table endpoints add column dead_letters int not null default 0;
alter table endpoints drop constraint endpoints_disabled_reason_check;
alter table endpoints add constraint endpoints_disabled_reason_check
  check (disabled_reason in ('gone', 'requested', 'failing'));
`,
}
