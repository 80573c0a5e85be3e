/** Environments and their versions. Versions are never changed, which the database sees to, too. */
export const environments = {
  name: '0010-environments',
  sql: `
create table environments (
  id text primary key,
  is_default boolean not null,
  version int not null,
  created_at timestamptz not null,
  archived_at timestamptz
);
create unique index environments_one_default on environments (is_default) where is_default;

create table environment_versions (
  environment_id text not null references environments (id),
  version int not null check (version >= 1),
  content jsonb not null,
  created_by text,
  created_at timestamptz not null,
  primary key (environment_id, version)
);
create function environment_versions_stay() returns trigger language plpgsql as $$
begin
  raise exception 'a version of an environment is never changed';
end $$;
create trigger environment_versions_stay before update on environment_versions
  for each row execute function environment_versions_stay();
`,
}
