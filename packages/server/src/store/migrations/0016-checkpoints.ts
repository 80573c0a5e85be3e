/** What is in a workspace that no git host has yet: at most one whole checkpoint a session. */
export const checkpoints = {
  name: '0016-checkpoints',
  sql: `
create table checkpoints (
  id text primary key,
  session_id text not null references sessions (id) on delete cascade,
  attempt int not null,
  commit text,
  seq bigint not null,
  bytes int not null default 0,
  is_whole boolean not null default false,
  created_at timestamptz not null
);
create unique index checkpoints_one_whole on checkpoints (session_id) where is_whole;
create index checkpoints_session on checkpoints (session_id);

create table checkpoint_chunks (
  checkpoint_id text not null references checkpoints (id) on delete cascade,
  n int not null,
  data bytea not null,
  primary key (checkpoint_id, n)
);
alter table checkpoint_chunks alter column data set storage external
`,
}
