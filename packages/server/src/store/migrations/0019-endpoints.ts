/**
 * Receivers of webhooks, and the log of every try. `position` orders the deliveries of a lane, which
 * is one session's at one endpoint; those of no lane wait for nobody. The 24 hours of a delivery are
 * counted from `queued_at`.
 */
export const endpoints = {
  name: '0019-endpoints',
  sql: `
create table endpoints (
  id text primary key,
  url text not null,
  name text not null,
  events text[],
  payload text not null check (payload in ('full', 'thin')),
  secret text not null,
  previous_secret text,
  previous_secret_until timestamptz,
  disabled_at timestamptz,
  disabled_reason text check (disabled_reason in ('gone', 'requested')),
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index endpoints_of_key on endpoints (created_by, id);

alter table deliveries add column position bigint generated always as identity;
alter table deliveries add column endpoint_id text references endpoints (id) on delete cascade;
alter table deliveries add column lane text;
alter table deliveries add column queued_at timestamptz;
alter table deliveries add column tried_at timestamptz;
update deliveries set queued_at = created_at;
alter table deliveries alter column queued_at set not null;
create unique index deliveries_position on deliveries (position);
create index deliveries_of_endpoint on deliveries (endpoint_id, position)
  where endpoint_id is not null;
create index deliveries_settled on deliveries ((coalesce(delivered_at, gave_up_at)))
  where endpoint_id is not null;
create index deliveries_lane on deliveries (endpoint_id, lane, position) where lane is not null;

create table delivery_tries (
  position bigint generated always as identity primary key,
  delivery_id text not null references deliveries (id) on delete cascade,
  started_at timestamptz not null,
  duration_ms bigint not null,
  request_headers jsonb not null,
  status int,
  response_headers jsonb,
  response_body text,
  error text
);
create index delivery_tries_of_delivery on delivery_tries (delivery_id, position);
`,
}
