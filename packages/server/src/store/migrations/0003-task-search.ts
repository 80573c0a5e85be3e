/** What the task API needs: keys that make an order once. */
export const taskSearch = {
  name: '0003-task-search',
  sql: `
create table idempotency_keys (
  key_id text not null,
  route text not null,
  key text not null,
  request_hash text not null,
  task_id text,
  location text,
  response text,
  created_at timestamptz not null,
  primary key (key_id, route, key)
);
create index idempotency_keys_oldest on idempotency_keys (created_at);
create index idempotency_keys_of_task on idempotency_keys (task_id) where task_id is not null;

create index tasks_delayed on tasks ((("order" ->> 'startAt')::bigint)) where reason = 'delayed';
`,
}
