/** Messages to the agents of tasks, and how often a task was reopened by one. */
export const messages = {
  name: '0006-messages',
  sql: `
create table messages (
  id text primary key,
  session_id text not null references sessions (id) on delete cascade,
  seq bigint not null,
  mode text not null check (mode in ('steer', 'interrupt', 'queue')),
  text text not null,
  interrupt_id text,
  created_by text,
  created_at timestamptz not null,
  processed_at timestamptz
);
create index messages_waiting on messages (session_id, seq) where processed_at is null;
alter table tasks add column reopened int not null default 0;
`,
}
