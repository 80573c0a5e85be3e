/**
 * What the task API needs: keys that make an order once, delayed starts, filters and search,
 * retries, and deletion, with which everything goes that references a session.
 *
 * `task_search` says which words a task is found by. It is an index's expression, made and analysed
 * with an empty search path, so it names nothing but built-in functions. "und-x-icu" knows the
 * letters of every script and their case, whatever locale the database has; words are cut to far
 * below the 2,046 bytes that a lexeme may have.
 */
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

create function task_search(given jsonb, result jsonb) returns tsvector
language sql immutable parallel safe cost 1000
return (
  select array_to_tsvector(coalesce(array_agg(distinct left(word, 64)), '{}'))
  from regexp_split_to_table(lower(
    ((given ->> 'instructions')
      || ' ' || coalesce(result ->> 'summary', '')
      || ' ' || coalesce(result ->> 'branch', '')) collate "und-x-icu"
  ), '[^[:alnum:]]+') as word
  where word <> ''
);
create index tasks_search on tasks using gin (task_search("order", result));
create index tasks_labels on tasks using gin (("order" -> 'labels') jsonb_path_ops);
create index tasks_of_repository on tasks (("order" ->> 'repoUrl'), created_at desc, id desc);

alter table tasks add column retry_of text;
alter table sessions add column deleted_at timestamptz;
alter table tasks drop constraint tasks_session_id_fkey,
  add foreign key (session_id) references sessions (id) on delete cascade;
alter table events drop constraint events_session_id_fkey,
  add foreign key (session_id) references sessions (id) on delete cascade;
alter table artifacts drop constraint artifacts_session_id_fkey,
  add foreign key (session_id) references sessions (id) on delete cascade;
alter table transcript_entries drop constraint transcript_entries_session_id_fkey,
  add foreign key (session_id) references sessions (id) on delete cascade;
alter table deliveries alter column session_id drop not null,
  drop constraint deliveries_session_id_fkey,
  drop constraint deliveries_task_id_fkey,
  add foreign key (session_id) references sessions (id) on delete set null,
  add foreign key (task_id) references tasks (id) on delete set null;
create index deliveries_of_session on deliveries (session_id);
create index deliveries_of_task on deliveries (task_id);
`,
}
