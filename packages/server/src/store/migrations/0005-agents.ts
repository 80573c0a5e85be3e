/** Agents and their versions. Versions are never changed, which the database sees to, too. */
export const agents = {
  name: '0005-agents',
  sql: `
create table agents (
  id text primary key,
  task_type text unique,
  version int not null,
  created_at timestamptz not null,
  archived_at timestamptz
);

create table agent_versions (
  agent_id text not null references agents (id),
  version int not null check (version >= 1),
  content jsonb not null,
  created_by text,
  created_at timestamptz not null,
  primary key (agent_id, version)
);
create function agent_versions_stay() returns trigger language plpgsql as $$
begin
  raise exception 'a version of an agent is never changed';
end $$;
create trigger agent_versions_stay before update on agent_versions
  for each row execute function agent_versions_stay();
`,
}
