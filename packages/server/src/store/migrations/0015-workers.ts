/** Who works, as they announce themselves. */
export const workers = {
  name: '0015-workers',
  sql: `
create table workers (
  id text primary key,
  node text not null unique,
  host text not null,
  version text not null,
  labels text[] not null,
  slots integer not null,
  running integer not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  draining_at timestamptz,
  hand_back boolean not null default false
)
`,
}
