/** What readers of a task ask for: its difference, and its session in a list. */
export const readers = {
  name: '0007-readers',
  sql: `
create table diffs (
  session_id text primary key references sessions (id) on delete cascade,
  attempt int not null,
  base_commit text not null,
  commit text not null,
  patch bytea not null,
  body bytea not null,
  created_at timestamptz not null
);
create index sessions_newest on sessions (created_at desc, id desc);
`,
}
