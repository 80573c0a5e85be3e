/** Orders that are given again and again, and each time of them. */
export const schedules = {
  name: '0018-schedules',
  sql: `
create table schedules (
  id text primary key,
  name text not null,
  cron text not null,
  time_zone text not null,
  "order" jsonb not null,
  overlap text not null check (overlap in ('skip', 'queue', 'cancel_previous')),
  catch_up text not null check (catch_up in ('none', 'last', 'all')),
  jitter_seconds integer not null,
  paused boolean not null,
  next_at timestamptz,
  next_scheduled_at timestamptz,
  created_by text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index schedules_next on schedules (next_at) where next_at is not null;
create table schedule_fires (
  schedule_id text not null references schedules (id) on delete cascade,
  scheduled_at timestamptz not null,
  is_manual boolean not null default false,
  fired_at timestamptz not null,
  state text not null check (state in ('ordered', 'waiting', 'skipped', 'missed', 'refused')),
  message text,
  task_id text references tasks (id) on delete set null,
  primary key (schedule_id, scheduled_at, is_manual)
);
create index schedule_fires_waiting on schedule_fires (schedule_id) where state = 'waiting';
create index schedule_fires_task on schedule_fires (task_id) where task_id is not null
`,
}
