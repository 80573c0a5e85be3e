/** The first schema. Transcripts are `json`, not `jsonb`: their text has to come back as it was. */
export const initial = {
  name: '0001-initial',
  sql: `
create table keys (
  id text primary key,
  hash text not null unique,
  name text not null,
  scopes text[] not null,
  limits jsonb not null default '{}',
  created_by text,
  created_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz
);

create table sessions (
  id text primary key,
  status text not null check (status in ('idle', 'running', 'rescheduling', 'terminated')),
  conversation_id uuid not null,
  agent jsonb not null,
  environment jsonb not null,
  node text,
  slot int check (slot >= 1),
  attempt int not null default 0,
  last_seq bigint not null default 0,
  usage jsonb not null default '{}',
  cost_usd numeric not null default 0,
  created_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz
);
create unique index sessions_slot on sessions (node, slot) where slot is not null;

create table tasks (
  id text primary key,
  session_id text not null unique references sessions (id),
  type text not null,
  priority text not null check (priority in ('low', 'medium', 'high')),
  status text not null check (status in ('pending', 'running', 'completed', 'failed')),
  reason text not null,
  message text,
  "order" jsonb not null,
  progress jsonb not null default '{}',
  result jsonb,
  error jsonb,
  cancel_requested_at timestamptz,
  created_by text,
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz
);
create index tasks_newest on tasks (created_at desc, id desc);
create index tasks_newest_of_status on tasks (status, created_at desc, id desc);

create table events (
  session_id text not null references sessions (id),
  seq bigint not null,
  id text not null,
  type text not null,
  thread_id text,
  attempt int,
  payload jsonb not null,
  created_at timestamptz not null,
  primary key (session_id, seq)
);
create index events_of_id on events (session_id, id);

create table artifacts (
  id text primary key,
  session_id text not null references sessions (id),
  attempt int,
  name text not null,
  content_type text not null,
  bytes bigint not null,
  created_by text,
  created_at timestamptz not null,
  unique (session_id, name)
);
create table artifact_chunks (
  artifact_id text not null references artifacts (id) on delete cascade,
  n int not null,
  data bytea not null,
  primary key (artifact_id, n)
);
alter table artifact_chunks alter column data set storage external;

create table transcript_entries (
  position bigserial primary key,
  session_id text not null references sessions (id),
  attempt int not null,
  project_key text not null,
  conversation_id text not null,
  subpath text not null default '',
  uuid text,
  entry json not null
);
create unique index transcript_entries_once
  on transcript_entries (session_id, conversation_id, subpath, uuid) where uuid is not null;
create index transcript_entries_in_order
  on transcript_entries (session_id, conversation_id, subpath, position);

create table deliveries (
  id text primary key,
  session_id text not null references sessions (id),
  task_id text references tasks (id),
  attempt int,
  type text not null,
  url text not null,
  body text not null,
  tries int not null default 0,
  next_try_at timestamptz,
  delivered_at timestamptz,
  gave_up_at timestamptz,
  last_status int,
  last_error text,
  created_by text,
  created_at timestamptz not null
);
create index deliveries_due on deliveries (next_try_at)
  where delivered_at is null and gave_up_at is null;

create table settings (
  name text primary key,
  value text not null
);
`,
}
