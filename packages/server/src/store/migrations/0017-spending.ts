/** What each key has spent in a day; of requests under way, the most that they can cost. */
export const spending = {
  name: '0017-spending',
  sql: `
create table key_spending (
  key_id text not null references keys (id) on delete cascade,
  day date not null,
  spent_usd numeric not null default 0,
  primary key (key_id, day)
);
create table key_reservations (
  id text primary key,
  key_id text not null references keys (id) on delete cascade,
  session_id text not null references sessions (id) on delete cascade,
  attempt integer not null,
  worst_usd numeric not null,
  created_at timestamptz not null
);
create index key_reservations_key on key_reservations (key_id);
create index key_reservations_session on key_reservations (session_id)
`,
}
