/**
 * What was decided for whom. No reference to a session: an entry outlives what it is about.
 * `position` is the order in which rows were stored, for pages; `seq` is the writer's own.
 */
export const audit = {
  name: '0009-audit',
  sql: `
create table audit (
  id text primary key,
  position bigint generated always as identity unique,
  writer text not null,
  seq bigint not null,
  prev_hash text not null,
  hash text not null,
  at timestamptz not null,
  session_id text,
  kind text not null,
  entry jsonb not null,
  unique (writer, seq)
);
create index audit_of_session on audit (session_id, position);
`,
}
