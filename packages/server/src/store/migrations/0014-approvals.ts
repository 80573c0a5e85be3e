/** Questions to humans, and for how long tasks were parked. */
export const approvals = {
  name: '0014-approvals',
  sql: `
create table approvals (
  id text primary key,
  task_id text not null references tasks (id) on delete cascade,
  session_id text not null references sessions (id) on delete cascade,
  kind text not null check (kind in ('tool_permission', 'question', 'budget')),
  status text not null default 'pending'
    check (status in ('pending', 'answered', 'expired', 'withdrawn')),
  request jsonb not null,
  answer jsonb,
  tool_use_id text,
  on_deadline text not null check (on_deadline in ('allow', 'deny', 'fail')),
  deadline_at timestamptz not null,
  created_at timestamptz not null,
  answered_at timestamptz,
  answered_by text
);
create index approvals_task on approvals (task_id, id);
create index approvals_session on approvals (session_id);
create index approvals_pending on approvals (deadline_at) where status = 'pending';
create unique index approvals_one_pending on approvals (session_id) where status = 'pending';
alter table tasks add column parked_at timestamptz;
alter table tasks add column parked_ms bigint not null default 0;
alter table tasks add column wake_at timestamptz;
create index tasks_wake on tasks (wake_at) where wake_at is not null
`,
}
